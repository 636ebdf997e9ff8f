//! Tables and notices of the command line.

super::words! {
    GATE: "ВХОД", "GATE";
    READER: "СЧИТЫВАТЕЛЬ", "READER";
    LINK: "СВЯЗЬ", "LINK";
    PASSES: "ПРОХОДЫ", "PASSES";
    LAST_PASS: "ПОСЛЕДНИЙ ПРОХОД", "LAST PASS";
    TO: "КУДА", "TO";
    DELIVERED: "ОТПРАВЛЕНО", "DELIVERED";
    WAITING: "ЖДУТ", "WAITING";
    OLDEST: "СТАРЕЙШИЙ", "OLDEST";
    REFUSED: "ОТКЛОНЕНО", "REFUSED";
    STATE: "СОСТОЯНИЕ", "STATE";

    FEED: "ЛЕНТА", "FEED";
    LAST_READ: "ПРОЧИТАНА", "READ";
    CHANGES: "ИЗМЕНЕНИЙ", "CHANGES";
    FEED_STANDS: "СТОИТ", "STANDS STILL";

    UP: "работает", "up";
    DOWN: "НЕТ ОТВЕТА", "DOWN";
    STARTING: "запускается", "starting";
    SILENT_FOR: "МОЛЧИТ {t}", "SILENT {t}";
    OK: "порядок", "ok";
    OFFLINE_SINCE: "связь потеряна в {at}", "offline since {at}";
    OFFLINE: "связь потеряна", "offline";
    AGO: "{t} назад", "{t} ago";
    UPTIME: "работает {t}", "up {t}";

    PROBLEMS: "Неполадки", "Problems";
    NO_PROBLEMS: "Неполадок нет.", "No problems.";
    HIDDEN: "и ещё {n} {n#следствие|следствия|следствий} того же", "and {n} {n#consequence|consequences} of the same";
    STORED_PASSES: "Сохранено: {n} {n#проход|прохода|проходов}.", "Stored: {n} {n#pass|passes}.";
    BROKER_LINE: "Брокер MQTT: {state}", "MQTT broker: {state}";
    JOURNAL_LINE: "Журнал: {bytes} из {budget} МиБ, {segments} {segments#сегмент|сегмента|сегментов}", "Journal: {bytes} of {budget} MiB, {segments} {segments#segment|segments}";
    CLOCK_SYNCED: "Часы сверены", "Clock synchronised";
    CLOCK_UNSYNCED: "Часы не сверены", "Clock not synchronised";

    READ: "прочитано", "read";
    STORED: "сохранено", "stored";
    WAIT: "ждут", "waiting";
    REFUSED_WORD: "отклонено", "refused";
    DROPPED: "снято", "dropped";
    NOT_OWED: "не передаётся", "not owed";
    UNDER_WAY: "у турникетов", "at the doors";
    BALANCED: "СХОДИТСЯ", "OK";
    UNBALANCED: "НЕ СХОДИТСЯ", "DIFFERS";

    // limegate osdp
    NO_OSDP_GATE: "в настройках нет входа `{gate}` с reader = \"osdp\"", "the config has no gate `{gate}` with reader = \"osdp\"";
    OSDP_NO_KEY: "у входа {gate} нет ключа: osdp = { key = ... }", "gate {gate} has no key: osdp = { key = ... }";
    OSDP_GIVEN: "вход {gate}: считыватель получил ключ и работает по защищённой линии.", "gate {gate}: the reader has its key now, and a session with it works.";
    OSDP_HAD_IT: "вход {gate}: у считывателя уже есть этот ключ; ничего не изменено.", "gate {gate}: the reader has this key already; nothing was changed.";
    OSDP_PORT: "вход {gate}: порт {port} недоступен ({why}). Если шлюз работает, остановите его: systemctl stop limegate.",
        "gate {gate}: the port {port} cannot be used ({why}). If the gateway runs, stop it: systemctl stop limegate.";
    OSDP_NO_READER: "вход {gate}: на линии {port} по адресу {address} никто не отвечает. Проверьте питание, провода A и B, адрес и скорость.",
        "gate {gate}: nobody answers on {port} at address {address}. Check the power, the wires A and B, the address and the speed.";
    OSDP_OTHER_KEY: "вход {gate}: у считывателя свой ключ, заводской он не принимает. Сбросьте ключ, как написано в его инструкции, и повторите.",
        "gate {gate}: the reader has a key of its own and does not accept the factory key. Reset it as its manual says, then try again.";
    OSDP_NO_INSTALL: "вход {gate}: считыватель не начинает защищённый обмен с заводским ключом. Переведите его в режим установки, как написано в его инструкции.",
        "gate {gate}: the reader begins no secured session with the factory key. Put it into its install mode as its manual says.";
    OSDP_NOT_TAKEN: "вход {gate}: считыватель не принял ключ.", "gate {gate}: the reader did not take the key.";
}
