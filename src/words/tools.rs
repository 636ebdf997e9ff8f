//! What the installer's tools say: `limegate ports` and `limegate listen`.

super::words! {
    NO_PORTS: "Последовательных портов нет. Подключите считыватель и повторите; сканер в режиме клавиатуры портом не становится.",
        "There are no serial ports. Plug the reader in and try again; a scanner in keyboard mode is none.";
    OWN_PORT: "порт платы", "part of the board";
    STAYS: "не изменится после перезагрузки", "stays after a reboot";
    CHANGES: "номер может измениться после перезагрузки", "the number may change after a reboot";
    ALSO: "также {names}", "also {names}";
    HELD_BY: "занят: {holders}", "held by {holders}";
    HOLDERS_HIDDEN: "Чужие процессы не видны ({n}): кто держит порты, полностью покажет sudo.", "{n} processes of other users cannot be seen: sudo shows all holders.";
    HEARD: "вход {gate}: {reader}, {link}, {passes} {passes#проход|прохода|проходов}, испорчено {bad}", "gate {gate}: {reader}, {link}, {passes} {passes#pass|passes}, {bad} damaged";
    HEARD_MODULE: "модуль {module}: {kind}, адрес {address}, {link}, спрошен {n} {n#раз|раза|раз}, без ответа {unanswered}, испорчено {bad}",
        "module {module}: {kind}, address {address}, {link}, asked {n} {n#time|times}, {unanswered} unanswered, {bad} damaged";
    LAST_BYTE: "последний байт {t} назад", "last byte {t} ago";
    NO_BYTE: "байтов ещё не было", "no byte yet";
    NOT_THERE: "порт из настроек, сейчас не подключён", "named in the config, not plugged in";
    NOT_IN_SYSFS: "порт из настроек", "named in the config";
    NO_GATEWAY: "Шлюз не запущен: что слышно на портах, не известно. Послушать порт: limegate listen --port ПОРТ --guess",
        "The gateway does not run: what is heard on the ports is not known. To listen to one: limegate listen --port PORT --guess";

    LISTENING: "Слушаю {port} на {line}; Ctrl-C — закончить. В порт ничего не пишется.", "Listening to {port} at {line}; Ctrl-C ends. Nothing is written to the port.";
    SEARCHING: "Ищу настройки {port}, сначала {line}. Подносите карту или код снова и снова. Ctrl-C — закончить.",
        "Looking for the settings of {port}, {line} first. Present a card or code again and again. Ctrl-C ends.";
    TURN: "{left}: {bytes} {bytes#байт|байта|байтов}, ничего не подходит. Теперь {line} ({number} из {of}): поднесите карту снова.",
        "{left}: {bytes} {bytes#byte|bytes}, nothing fits. Now {line} ({number} of {of}): present the card again.";
    STILL_SILENT: "Ничего не слышно уже {t}. Поднесите карту; проверьте питание и провод данных.", "Nothing heard for {t}. Present a card; check power and the data wire.";
    GATEWAY_HOLDS: "{port} сейчас читает шлюз (процесс {pid}). Остановите его (systemctl stop limegate) или смотрите проходы: limegate tap",
        "The gateway (process {pid}) reads {port} now. Stop it (systemctl stop limegate), or watch the passes: limegate tap";
    OTHER_HOLDS: "{port} занят: {holders}. Закройте эту программу.", "{port} is held by {holders}. Close that program.";
    SOMEBODY_HOLDS: "{port} занят другой программой. Кем, покажет sudo limegate ports", "{port} is held by another program. sudo limegate ports shows which.";
    SHARED: "{port} открыт и здесь: {holders}. Байты делятся между вами.", "{port} is also open in {holders}: the bytes are shared between you.";
    MISSING: "{port}: такого порта нет. Какие есть, покажет limegate ports", "{port}: there is no such port. limegate ports shows those there are.";
    NOT_ALLOWED: "{port}: нет прав. Запустите через sudo или добавьте себя в группу dialout", "{port}: no permission. Use sudo, or join the group dialout.";
    BROKEN: "{port}: это не последовательный порт, или он не принимает настройки ({why})", "{port}: it is no serial port, or does not take the settings ({why})";
    LOST: "{port}: устройство отключилось ({why})", "{port}: the device went away ({why})";
    BAD_PROFILE: "Профиль {profile}: {why}", "Profile {profile}: {why}";
    NO_PROFILE: "Профиля {profile} нет. Есть: {known}", "There is no profile {profile}. There are: {known}";
    BAD_LINE: "{line}: нужно вида 8N1, 7E1, 8N2", "{line}: write 8N1, 7E1 or 8N2";

    MEDIUM: "проход: {kind} {value}, формат {format}", "pass: {kind} {value}, format {format}";
    MEDIUM_REPEATED: "то же ещё раз: {kind} {value}; второго прохода не будет", "the same again: {kind} {value}; no second pass";
    OF_READER: "считыватель {n}", "reader {n}";
    REMOVED: "карту убрали", "the card was taken away";
    BAD_FRAME: "не кадр: {code}", "no frame: {code}";
    MASKED: "Номера скрыты; --show-cards покажет.", "Numbers are masked; --show-cards shows them.";

    NOTHING_HEARD: "Ничего не пришло. Не тот порт, нет питания, перепутаны провода, или считыватель ждёт опроса (OSDP, Modbus).",
        "Nothing came. Another port, no power, swapped wires, or a reader that waits to be asked (OSDP, Modbus).";
    SUM: "{bytes} {bytes#байт|байта|байтов}, кадров {frames}, испорчено {bad}, повреждено на линии {damaged}", "{bytes} {bytes#byte|bytes}, {frames} {frames#frame|frames}, {bad} bad, {damaged} damaged on the line";
    NOTHING_FITS: "{bytes} {bytes#байт|байта|байтов}, ни один известный считыватель не подходит.", "{bytes} {bytes#byte|bytes}, and no known reader fits.";
    FIT: "{frames} из {all} {all#кадра|кадров|кадров} на {line} как {profile} ({title}): {certainty}", "{frames} of {all} {all#frame|frames} at {line} as {profile} ({title}): {certainty}";
    SAME_AS: "те же байты читаются так же как {profiles}", "the same bytes read alike as {profiles}";
    VALID_AS: "те же байты подходят и как {profile}: {frames} из {all}", "the same bytes are valid as {profile}: {frames} of {all}";
    WAITS: "с {profile} шлюз будет писать в порт (ответы или команды): выбирайте его, только если считыватель так настроен",
        "with {profile} the gateway would write to the port (answers or commands): choose it only where the reader is set up so";
    SURE: "точно", "certain";
    LIKELY: "вероятно", "likely";
    POSSIBLE: "возможно", "possible";
    ORDERS: "порядок байтов (uid_order в профиле):", "order of bytes (uid_order in the profile):";
    COMPARED: "{number} — это uid_order = \"{order}\" ({how})", "{number} is uid_order = \"{order}\" ({how})";
    NOT_COMPARED: "{number} не получается ни при каком порядке байтов", "{number} comes out under no order of bytes";
    BY_HEX: "все цифры совпали", "all digits agree";
    BY_DECIMAL: "то же десятичное число", "the same decimal number";
    BY_WIEGAND: "только три байта, как в Wiegand 26: так бывает и у других карт", "three bytes only, as in Wiegand 26: other cards have them, too";
    FOR_CONFIG: "В файл настроек:", "For the config:";
    BAUD_NOTE: "скорость отличается от обычной для этого профиля", "the speed is not this profile's usual one";
    LINE_NOTE: "линия {line}: профилю нужен свой раздел [line], см. docs/adding-a-reader.md", "the line is {line}: the profile needs a [line] of its own, see docs/adding-a-reader.md";
}
