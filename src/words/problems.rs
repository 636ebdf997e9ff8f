//! What a problem is, and what to do about it.

super::words! {
    // Gates.
    READER_DOWN: "вход {gate}: порт {port} не открывается: {why}.", "gate {gate}: the port {port} does not open: {why}.";
    GATE_TOPIC_DOWN: "вход {gate}: топик {topic} сейчас не читается.", "gate {gate}: the topic {topic} cannot be read now.";
    NOT_THIS_READER: "вход {gate}: данные идут, но за последнее время ни один из {n} {n#кадра|кадров|кадров} не похож на {reader}.",
        "gate {gate}: data comes, but lately none of {n} {n#frame|frames} looks like {reader}.";
    SILENT: "вход {gate}: нет данных {t}, а на соседних входах за это время {n} {n#проход|прохода|проходов}.",
        "gate {gate}: no bytes for {t}, while the other gates took {n} {n#pass|passes}.";
    SILENT_UNUSUALLY: "вход {gate}: нет данных {t} (обычно проход раз в {usual}), а на соседних входах за это время {n} {n#проход|прохода|проходов}.",
        "gate {gate}: no bytes for {t} (normally a pass every {usual}), while the other gates took {n} {n#pass|passes}.";
    BAD_FRAMES: "вход {gate}: за последнее время {n} {n#испорченный кадр|испорченных кадра|испорченных кадров} на {m} {m#проход|прохода|проходов}.",
        "gate {gate}: lately {n} damaged {n#frame|frames} to {m} {m#pass|passes}.";
    READER_OFFLINE: "вход {gate}: считыватель на линии {port} не отвечает.", "gate {gate}: the reader on the line {port} does not answer.";
    READER_WRONG_KEY: "вход {gate}: ключ считывателя не тот, что в настройках; проходы не принимаются.",
        "gate {gate}: the reader does not have the key that the config names; no passes are taken.";
    READER_NO_SECURITY: "вход {gate}: считыватель не умеет защищённый обмен со своим ключом; проходы не принимаются.",
        "gate {gate}: the reader knows no secured sessions with a key of its own; no passes are taken.";
    READER_NEEDS_KEY: "вход {gate}: считыватель требует защищённый обмен, а ключа в настройках нет.", "gate {gate}: the reader wants a secured session, and the config names no key.";
    READER_TAMPER: "вход {gate}: вскрыт корпус считывателя.", "gate {gate}: the reader's housing is open.";
    READER_POWER: "вход {gate}: считыватель сообщает о сбое питания.", "gate {gate}: the reader says that its power fails.";
    CHECK_BUS: "Проверьте питание считывателя, провода A и B, адрес и скорость линии.", "Check the reader's power, the wires A and B, its address and the line's speed.";
    GIVE_KEY: "Верните считывателю заводской ключ и выполните limegate osdp provision --gate {gate}.", "Reset the reader's key and run limegate osdp provision --gate {gate}.";
    NAME_KEY: "Задайте ключ: osdp = { key = ... } у входа {gate}; limegate osdp provision передаст его считывателю.",
        "Name a key: osdp = { key = ... } of gate {gate}; limegate osdp provision gives it to the reader.";
    CHECK_HOUSING: "Осмотрите считыватель.", "Look at the reader.";
    CHECK_SUPPLY: "Проверьте блок питания считывателя.", "Check the reader's power supply.";
    CHECK_CABLE: "Проверьте кабель USB и питание считывателя; limegate check покажет имя порта.", "Check the USB plug and the reader's power; limegate check shows the port's name.";
    CHECK_POWER: "Проверьте питание и штекер USB; поднесите карту и посмотрите limegate tap.", "Check power and the USB plug; present a card and watch limegate tap.";
    CHECK_READER: "Проверьте reader и baud этого входа. Настройки найдёт limegate listen --port {port} --guess (шлюз на это время остановите).",
        "Check reader and baud of this gate. limegate listen --port {port} --guess finds them (stop the gateway meanwhile).";
    LOOKS_LIKE: "Те же байты читаются как {profile}: reader = \"{profile}\"", "The same bytes are valid as {profile}: reader = \"{profile}\"";
    CHECK_LINE: "Проверьте кабель, общий провод и скорость линии.", "Check the cable, the ground wire and the line speed.";

    // Doors.
    DOOR_SHUT: "вход {gate}: не открывается: {why}.", "gate {gate}: it does not open: {why}.";
    DOOR_STUCK: "вход {gate}: неизвестно, выключен ли выход: {why}. Турникет может быть открыт.",
        "gate {gate}: its outputs are not known to be off: {why}. It may be open.";
    DOOR_AWAY: "вход {gate}: устройство двери не отвечает.", "gate {gate}: a device of the door does not answer.";
    DOOR_FREE: "вход {gate}: проход свободен (пожар или ключ). Никто не списывается.", "gate {gate}: it is free (fire or key). Nobody is charged.";
    DOOR_TAMPER: "вход {gate}: вскрыт корпус или турникет взламывают.", "gate {gate}: somebody is at the housing or forces the gate.";
    DOOR_FAULT: "вход {gate}: турникет сообщает о неисправности ({code}).", "gate {gate}: the gate reports a fault ({code}).";
    UNPERMITTED: "вход {gate}: {n} {n#проход|прохода|проходов} без разрешения.", "gate {gate}: {n} {n#passage|passages} without permission.";
    DECIDES_ALONE: "вход {gate}: решает без Лайма уже {t}.", "gate {gate}: deciding without Lime for {t}.";
    ENTITLEMENTS_NONE: "Снимка прав нет: без Лайма входы никого по правам не пропустят.", "There is no entitlement snapshot: without Lime the doors can let nobody in by it.";
    ENTITLEMENTS_OLD: "Снимок прав слишком стар ({t}): без Лайма входы никого по правам не пропустят.", "The entitlement snapshot is too old ({t}): without Lime the doors can let nobody in by it.";
    ENTITLEMENTS_UNSURE: "Возраст снимка прав неизвестен: без Лайма входы никого по правам не пропустят.", "How old the entitlement snapshot is cannot be said: without Lime the doors can let nobody in by it.";
    CHECK_ENTITLEMENTS: "Проверьте связь с Лаймом и часы; снимок скачивается сам. Почему нет, покажет journalctl -u limegate.",
        "Check the connection to Lime and the clock; the snapshot is fetched by itself. journalctl -u limegate says why it is not.";
    CHECK_DOOR: "Проверьте питание и линию модуля и турникета; пробное открытие: limegate door open.",
        "Check power and line of the module and the gate; a trial: limegate door open.";
    CHECK_OUTPUT: "Посмотрите, закрыт ли турникет; при необходимости отключите реле.", "See whether the gate is shut; switch the relay off if need be.";
    CHECK_FREE: "Если тревоги нет, проверьте ключ и вход пожарной сигнализации.", "If there is no alarm, check the key and the fire alarm's contact.";
    LOOK_AT_GATE: "Посмотрите на турникет.", "Look at the gate.";

    // Journal, clock, config.
    MODULE_DOWN: "Модуль {module} ({port}) не отвечает: {why}. Его турникеты не открываются и проходы не считаются.",
        "Module {module} ({port}) does not answer: {why}. Its gates do not open and its passages are not counted.";
    CHECK_MODULE: "Проверьте питание модуля, линию RS-485 (A, B, общий провод), адрес и настройки линии.", "Check the module's power, the RS-485 line (A, B, common), its address and the line settings.";
    OUTPUT_STUCK: "Модуль {module}: выход {outputs} не выключается. Турникет может стоять открытым.", "Module {module}: output {outputs} does not go off. The gate may stand open.";
    CHECK_RELAY: "Подойдите к турникету. Снимите питание с модуля и проверьте реле; кто ещё управляет этим выходом?",
        "Go to the gate. Take the power off the module and look at the relay; who else drives this output?";
    MODULE_REFUSES: "Модуль {module} не принимает то, что есть в его карте {kind}: {what}.", "Module {module} refuses what its map {kind} says it has: {what}.";
    CHECK_MAP: "Проверьте kind этого модуля и версию его прошивки.", "Check this module's kind and its firmware.";
    SETTING_REFUSED: "Модуль {module} не принимает настройки, регистры {registers}: сам он выход не выключит, если устройство пропадёт, или вход может включить реле.",
        "Module {module} does not take settings, registers {registers}: it will not end a pulse by itself when this box is gone, or an input may switch a relay.";
    CHECK_FIRMWARE: "Обновите прошивку модуля или задайте эти регистры его программой настройки.", "Update the module's firmware, or set these registers with its own set-up program.";
    JOURNAL_FAILING: "Диск не принимает записи: {why}. Новые проходы не подтверждаются.", "The disk refuses to store: {why}. New passes are not acknowledged.";
    JOURNAL_FULL: "Журнал заполнен неотправленными проходами. Новые проходы не принимаются.", "The journal is full of undelivered passes. New passes are refused.";
    JOURNAL_FILLING: "Неотправленные проходы занимают {percent} % места журнала.", "Undelivered passes take {percent} % of the journal's room.";
    JOURNAL_DAMAGED: "В журнале {n} {n#испорченная запись|испорченные записи|испорченных записей}; {n#она отложена|они отложены|они отложены}.",
        "{n} damaged {n#record|records} in the journal {n#was|were} put aside.";
    INDEX_REBUILT: "Индекс журнала восстанавливается или был восстановлен: {state}. Проходы целы.", "The journal's index is being rebuilt, or was: {state}. The passes are whole.";
    CHECK_DISK: "Проверьте диск: df, dmesg. Карту памяти с ошибками замените; журнал скопируйте целиком.", "Check the disk: df, dmesg. Replace a failing card; copy the journal as a whole.";
    FREE_JOURNAL: "Восстановите связь с адресатом или увеличьте [journal] budget.", "Bring the destination back, or raise [journal] budget.";
    VERIFY_JOURNAL: "Посмотрите limegate journal verify и сообщите в поддержку.", "See limegate journal verify and tell your support.";
    CLOCK_WRONG: "Часы показывают {at}: это неверно. Время проходов исправится после синхронизации.", "The clock shows {at}, which is wrong. The passes' times are corrected once it is synchronised.";
    CLOCK_UNSYNCED: "Часы ещё не сверены после включения. Время проходов исправится после синхронизации.", "The clock is not synchronised since power-up. The passes' times are corrected once it is.";
    CLOCK_LOST: "Часы больше не сверяются с сетью.", "The clock is no longer synchronised.";
    CHECK_TIME: "Проверьте доступ к серверу времени: timedatectl timesync-status.", "Check the way to the time server: timedatectl timesync-status.";
    CONFIG: "Файл настроек на диске не применён: {why}. Работает прежний.", "The config file on disk is not applied: {why}. The previous one goes on.";
    RUN_CHECK: "limegate check покажет ошибки.", "limegate check shows the mistakes.";

    // Destinations.
    AUTH: "{to}: доступ отклонён, токен недействителен. {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.",
        "{to}: access is refused, the token is not valid. {n} {n#pass is|passes are} kept.";
    ACCESS: "{to}: не хватает прав ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.", "{to}: rights are missing ({code}). {n} {n#pass is|passes are} kept.";
    NO_STAGE: "{to}: воронка или этап из настроек не найдены ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.",
        "{to}: the pipeline or stage of the config is not found ({code}). {n} {n#pass is|passes are} kept.";
    NO_FIELD: "{to}: не хватает поля ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.", "{to}: a field is missing ({code}). {n} {n#pass is|passes are} kept.";
    SETUP: "{to}: настройка не завершена ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.", "{to}: the set-up is not complete ({code}). {n} {n#pass is|passes are} kept.";
    DEAD_LETTERS: "{to}: {n} {n#проход отклонён и ждёт|прохода отклонены и ждут|проходов отклонены и ждут} человека.", "{to}: {n} {n#pass was|passes were} refused and {n#needs|need} a person.";
    DOUBTFUL: "{to}: для {n} {n#прохода|проходов|проходов} пока неизвестно, дошли ли они; это выясняется.", "{to}: whether {n} {n#pass|passes} arrived is not known yet; it is being found out.";
    DOUBLED: "{to}: ночная сверка нашла {n} {n#проход, записанный|прохода, записанных|проходов, записанных} дважды.",
        "{to}: the nightly sweep found {n} {n#pass|passes} written twice.";
    DOUBLED_OR_MISSING: "{to}: ночная сверка нашла {n} {n#проход, записанный|прохода, записанных|проходов, записанных} дважды, и не нашла {m} {m#записанный|записанных|записанных}.",
        "{to}: the nightly sweep found {n} {n#pass|passes} written twice, and did not find {m} that {m#was|were} written.";
    BACKLOG: "{to}: отправляются накопленные проходы, {n} {n#ждёт|ждут|ждут}, старейшему {t}.", "{to}: a backlog is being delivered, {n} waiting, the oldest for {t}.";
    NO_NETWORK: "Сети нет: ни один адресат не отвечает. {n} {n#проход сохранён|прохода сохранены|проходов сохранены}, ничего не потеряно.",
        "No network: nothing outside can be reached. {n} {n#pass is|passes are} kept; nothing is lost.";
    NO_DNS: "{to}: имя сервера не находится. {n} {n#проход сохранён|прохода сохранены|проходов сохранены}, ничего не потеряно.",
        "{to}: the server's name does not resolve. {n} {n#pass is|passes are} kept; nothing is lost.";
    UNREACHABLE: "{to}: нет связи. {n} {n#проход сохранён|прохода сохранены|проходов сохранены}, ничего не потеряно.",
        "{to}: cannot be reached. {n} {n#pass is|passes are} kept; nothing is lost.";
    BAD_TLS: "{to}: сертификат сервера не принят. Ничего не отправлено. {n} {n#проход сохранён|прохода сохранены|проходов сохранены}.",
        "{to}: the server's certificate is not accepted. Nothing was sent. {n} {n#pass is|passes are} kept.";
    LIMITED: "{to}: просит подождать ещё {t}.", "{to}: asks us to wait for another {t}.";
    LIMITED_NOW: "{to}: просит слать реже ({code}). {n} {n#проход ждёт|прохода ждут|проходов ждут}.", "{to}: asks us to slow down ({code}). {n} {n#pass is|passes are} waiting.";
    FAILING: "{to}: отвечает ошибкой ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}, ничего не потеряно.",
        "{to}: answers with an error ({code}). {n} {n#pass is|passes are} kept; nothing is lost.";
    NO_ANSWER: "{to}: ответы не приходят или обрываются ({code}). {n} {n#проход сохранён|прохода сохранены|проходов сохранены}, ничего не потеряно.",
        "{to}: answers do not come or break off ({code}). {n} {n#pass is|passes are} kept; nothing is lost.";
    NO_BROKER: "Брокер MQTT недоступен: {why}.", "The MQTT broker cannot be reached: {why}.";
    RENEW_TOKEN: "Выпустите новый токен и положите его в файл секрета; для OAuth: limegate crm login.", "Make a new token and put it into the secret's file; with OAuth: limegate crm login.";
    GIVE_ACCESS: "Дайте интеграции недостающие права; подробности: limegate crm check.", "Give the integration the rights it lacks; details: limegate crm check.";
    RUN_SETUP: "limegate crm check скажет, чего не хватает; limegate crm setup --dry-run покажет, что будет создано.",
        "limegate crm check says what is missing; limegate crm setup --dry-run shows what would be created.";
    RUN_CRM_CHECK: "limegate crm check скажет, чего не хватает.", "limegate crm check says what is missing.";
    MEND_DOUBLED: "limegate verify --remote --since 3d назовёт их; лишние карточки удалите в CRM. Следующая ночная сверка проверит.",
        "limegate verify --remote --since 3d names them; delete the second cards in the CRM. The next nightly sweep looks again.";
    LIST_DEAD: "limegate dead list; устраните причину, затем limegate dead retry.", "limegate dead list; mend the cause, then limegate dead retry.";
    CHECK_DNS: "Проверьте интернет и DNS.", "Check the internet connection and DNS.";
    CHECK_NETWORK: "Проверьте сетевой кабель, роутер и интернет.", "Check the network cable, the router and the internet connection.";
    CHECK_TLS: "Проверьте часы устройства и сертификат сервера (ключ ca в настройках).", "Check the box's clock and the server's certificate (the key ca in the config).";
    CHECK_BROKER: "Проверьте, работает ли брокер, и раздел [mqtt] настроек.", "Check that the broker runs, and [mqtt] in the config.";
    WAIT_FOR_IT: "Ничего делать не нужно: отправка повторяется сама. Если долго не проходит, сообщите владельцу сервера.",
        "Nothing to do: deliveries are repeated. If it lasts, tell whoever runs the server.";
    NOTHING_TO_DO: "Ничего делать не нужно.", "Nothing to do.";

    // Feeds.
    FEED_DOWN: "лента {feed} не читается ({code}): {why}", "the feed {feed} cannot be read ({code}): {why}";
    CHECK_FEED: "Обмен по ней стоит, ничего не теряется. Проверьте адаптер Лайма или права в CRM: limegate crm check.",
        "What it tells of stands still; nothing is lost. Check Lime's adapter, or the rights in the CRM: limegate crm check.";
    FEED_ODD: "лента {feed}: {n} {n#запись не читается и пропущена|записи не читаются и пропущены|записей не читаются и пропущены}.", "the feed {feed}: {n} {n#item|items} cannot be read and {n#was|were} passed over.";
    CHECK_ODD: "Номера есть в journalctl -u limegate; сообщите тому, кто ведёт Лайм.", "journalctl -u limegate has their ids; tell whoever runs Lime.";
}
