//! What `limegate check` says about a config file.

super::words! {
    // Levels, as the renderer titles them.
    ERROR: "ошибка", "error";
    WARNING: "предупреждение", "warning";
    HELP: "подсказка", "help";

    // C-001 and C-002: the file as such.
    UNREADABLE: "не удаётся прочитать {path}: {why}", "cannot read {path}: {why}";
    UNREADABLE_HELP: "пример настроек: limegate config example --crm amocrm", "an example: limegate config example --crm amocrm";
    NOT_FOUND: "файла нет", "there is no such file";
    NO_ACCESS: "нет прав на чтение", "permission denied";
    IS_DIRECTORY: "это папка, а не файл", "it is a directory, not a file";
    TOO_LARGE: "файл больше 1 МиБ", "it is larger than 1 MiB";
    NOT_UTF8: "это не текст в кодировке UTF-8 (байт {at})", "it is not UTF-8 text (byte {at})";
    SYNTAX: "ошибка в записи TOML: {what}", "not valid TOML: {what}";
    SYNTAX_HERE: "здесь", "here";
    SYNTAX_EXPECTED: "здесь ожидается {expected}", "expected {expected} here";
    TOML_DUPLICATE: "ключ или таблица записаны дважды", "a key or table is written twice";
    TOML_QUOTES: "текст пишется в кавычках", "texts are written in quotes";
    TOML_STRING: "текст в кавычках не закончен или содержит недопустимый знак", "a text in quotes has no end, or a character that is not allowed";
    TOML_NO_VALUE: "у ключа нет значения", "a key has no value";
    TOML_BAD_VALUE: "непонятное значение", "a value that makes no sense";
    TOML_EXTRA_EQUALS: "лишний знак =", "one = too many";
    TOML_NO_EQUALS: "не хватает знака =", "an = is missing";
    TOML_BAD_KEY: "ключ без кавычек пишется латинскими буквами, цифрами, _ и -", "a key without quotes has letters a-z, digits, _ and - only";
    TOML_BAD_PAIR: "ожидается строка вида ключ = значение", "expected a line like key = value";
    TOML_OPEN_BRACKET: "не закрыта скобка [", "a [ is not closed";
    TOML_OPEN_BRACE: "не закрыта скобка {", "a { is not closed";
    TOML_NO_COMMA: "не хватает запятой", "a comma is missing";
    TOML_EXTRA_COMMA: "лишняя запятая", "one comma too many";
    TOML_BAD_NUMBER: "непонятное число", "a number that makes no sense";

    // C-003: unknown keys.
    UNKNOWN_KEY: "неизвестный ключ `{key}` в {place}", "unknown key `{key}` in {place}";
    UNKNOWN_TABLE: "неизвестная таблица `[{key}]`", "unknown table `[{key}]`";
    UNKNOWN_HERE: "такого здесь нет", "not known here";
    DID_YOU_MEAN: "возможно, имелось в виду `{key}`", "did you mean `{key}`?";
    BELONGS_TO: "ключ `{key}` пишется в {place}", "`{key}` belongs in {place}";
    KNOWN_KEYS: "здесь можно: {keys}", "known here: {keys}";
    TOP_OF_FILE: "начале файла, до первой таблицы", "the first lines of the file, before any table";

    // C-004: missing keys.
    MISSING_KEY: "в {place} не хватает ключа `{key}`", "{place} lacks the key `{key}`";
    MISSING_TABLE: "нет таблицы `{table}`", "the table `{table}` is missing";
    MISSING_HERE: "в этой таблице", "in this table";
    MISSING_HERE_FILE: "в этом файле", "in this file";
    MISSING_TABLE_HELP: "полный пример: limegate config example --crm amocrm", "a complete example: limegate config example --crm amocrm";
    MISSING_HELP: "например: {example}", "for example: {example}";

    // C-005: wrong types.
    WRONG_TYPE: "`{key}`: ожидается {expected}, а здесь {found}", "`{key}`: expected {expected}, found {found}";
    EXPECTED_HERE: "ожидается {expected}", "expected {expected}";
    A_TEXT: "текст в кавычках", "a text in quotes";
    A_NUMBER: "число", "a number";
    A_WHOLE_NUMBER: "целое число не меньше нуля", "a whole number, zero or more";
    A_SWITCH: "true или false", "true or false";
    A_TABLE: "таблица", "a table";
    AN_ARRAY: "список", "an array";
    A_DATE: "дата", "a date";
    GATES: "таблицы [[gate]]", "[[gate]] tables";
    GATES_HELP: "каждый вход пишется с двойными скобками: [[gate]]", "each gate is written with double brackets: [[gate]]";
    NAMES: "список названий: [\"K1\", \"K2\"]", "a list of names: [\"K1\", \"K2\"]";
    MODULES: "таблицы [[module]]", "[[module]] tables";
    MODULES_HELP: "каждый модуль пишется с двойными скобками: [[module]]", "each module is written with double brackets: [[module]]";
    A_DURATION: "длительность: \"500ms\", \"120s\", \"5min\", \"6h\" или \"30d\"", "a duration: \"500ms\", \"120s\", \"5min\", \"6h\" or \"30d\"";
    A_SIZE: "размер: \"8MiB\" или \"2GiB\"", "a size: \"8MiB\" or \"2GiB\"";
    A_SECRET: "место секрета: { file = \"имя\" } или { env = \"ИМЯ\" }", "where the secret is: { file = \"name\" } or { env = \"NAME\" }";
    A_STAGE: "название или { id = 123 }", "a name or { id = 123 }";
    PASSES_FORM: "{ pipeline = \"Название\", stage = \"Название\" }; у Bitrix24 также \"timeline\", \"deal\" или \"both\"",
        "{ pipeline = \"Name\", stage = \"Name\" }; for Bitrix24 also \"timeline\", \"deal\" or \"both\"";

    // C-006: values that are not allowed.
    NOT_ALLOWED: "`{key}`: значение {found} не подходит", "`{key}`: {found} is not allowed";
    ALLOWED: "можно: {allowed}", "allowed: {allowed}";
    BETWEEN: "от {from} до {to}", "from {from} to {to}";
    NOT_EMPTY: "непустой текст без управляющих символов", "a text that is not empty and has no control characters";
    ID_FORM: "латинские буквы, цифры и дефис, не больше 40 знаков", "ASCII letters, digits and hyphens, 40 at most";
    TOPIC_FORM: "топик MQTT без # и +", "an MQTT topic without # and +";
    STAGE_FORM: "непустое название или id", "a name or an id that is not empty";

    // C-007 to C-009: clashes.
    SAME_PORT: "входы `{first}` и `{second}` используют один порт", "gates `{first}` and `{second}` use the same port";
    SAME_READER: "входы `{first}` и `{second}` на одной линии OSDP, и адрес у них один", "gates `{first}` and `{second}` are on one OSDP line and have the same address";
    OTHER_LINE: "входы `{first}` и `{second}` на одной линии OSDP, а baud, check или rs485 у них разные", "gates `{first}` and `{second}` are on one OSDP line and differ in baud, check or rs485";
    SAME_ID: "два входа называются `{id}`", "two gates are called `{id}`";
    SAME_TOPIC: "входы `{first}` и `{second}` читают один топик", "gates `{first}` and `{second}` read the same topic";
    FIRST_HERE: "впервые здесь", "first used here";
    TAKEN_HERE: "уже занято", "already taken";
    SAME_DEVICE: "{first} и {second} сейчас ведут к одному устройству", "{first} and {second} are the same device right now";

    // C-010 to C-013: secrets.
    INLINE_SECRET: "`{key}`: секрет записан прямо в файле настроек", "`{key}`: the secret stands in the config file itself";
    INLINE_HERE: "уберите его отсюда", "take it out of here";
    INLINE_HELP: "положите его в файл {folder}/{name} с правами 0600 и напишите {key} = { file = \"{name}\" }; этот секрет считайте раскрытым и замените",
        "put it into {folder}/{name}, mode 0600, and write {key} = { file = \"{name}\" }; treat this secret as disclosed and replace it";
    NO_SECRET_FILE: "нет файла с секретом `{name}`", "there is no secret file `{name}`";
    NO_SECRET_HELP: "его искали здесь: {places}. Запишите секрет туда и дайте права 0600", "looked for in {places}. Write the secret there, mode 0600";
    SECRET_HERE: "этот секрет", "this secret";
    NO_SECRET_VARIABLE: "переменная окружения {name} не задана", "the environment variable {name} is not set";
    SECRET_VARIABLE_HELP: "на устройстве храните секреты в файлах: { file = \"имя\" }", "on a box, keep secrets in files: { file = \"name\" }";
    OPEN_SECRET: "файл с секретом {path} доступен другим (права {mode})", "the secret file {path} is open to others (mode {mode})";
    OPEN_SECRET_HELP: "chmod 600 {path}", "chmod 600 {path}";
    UNREADABLE_SECRET: "не удаётся прочитать секрет {path}: {why}", "cannot read the secret {path}: {why}";
    BAD_SECRET: "секрет `{name}` не годится: {why}", "the secret `{name}` is of no use: {why}";
    SECRET_EMPTY: "он пуст", "it is empty";
    SECRET_LONG: "он длиннее 16 КиБ", "it is longer than 16 KiB";
    SECRET_BINARY: "в нём не одна строка текста", "it is not one line of text";
    SECRET_NAME: "имя файла с секретом не может содержать `..` или папки; нужен полный путь или одно имя",
        "the name of a secret file cannot hold `..` or folders; give one name or an absolute path";
    WEBHOOK_FORM: "адрес входящего вебхука выглядит так: https://<портал>/rest/<номер>/<ключ>/", "an inbound webhook looks like https://<portal>/rest/<number>/<key>/";

    KEY_FORM: "это ключ площадки, в нём не меньше 32 знаков: openssl rand -hex 32", "this is the venue's key, 32 characters or more: openssl rand -hex 32";
    OSDP_KEY_FORM: "ожидается ключ считывателя: 32 шестнадцатеричные цифры, и не заводской ключ 3031…3F",
        "expected the reader's key: 32 hex digits, and not the factory key 3031…3F";

    // C-014: unstable ports.
    UNSTABLE_PORT: "{port} после перезагрузки может стать другим устройством", "{port} may become another device after a reboot";
    UNSTABLE_HERE: "имя по порядку подключения", "named by the order of plugging in";
    UNSTABLE_ALSO: "этот адаптер виден и под постоянным именем: port = \"{link}\"", "this adapter also answers to port = \"{link}\"";
    UNSTABLE_HELP: "постоянные имена: ls -l /dev/serial/by-id /dev/serial/by-path", "names that stay: ls -l /dev/serial/by-id /dev/serial/by-path";

    // C-015 and C-016: addresses.
    BAD_URL: "`{key}`: {found} не годится как адрес", "`{key}`: {found} is not a usable address";
    HTTPS_ONLY: "нужен https://; http:// разрешён только для 127.0.0.1, [::1] и localhost", "https:// is needed; http:// is for 127.0.0.1, [::1] and localhost only";
    URL_FORM: "адрес выглядит так: {example}", "an address looks like {example}";
    URL_USERINFO: "имя и пароль в адрес не пишут", "a user and a password do not belong in an address";
    MQTT_PLAIN_PASSWORD: "пароль ушёл бы по сети открытым", "the password would cross the network in the clear";
    MQTT_PLAIN: "проходы пойдут по сети открыто", "passes cross the network in the clear";
    MQTT_PLAIN_HELP: "для брокера на другой машине нужен mqtts://", "use mqtts:// for a broker on another machine";
    ACCOUNT_FORM: "имя аккаунта: то, что стоит перед .amocrm.ru", "the account's name: what stands before .amocrm.ru";

    // C-017 and C-018: what does not fit together.
    NO_BROKER: "вход `{gate}` читает из MQTT, а таблицы [mqtt] нет", "gate `{gate}` reads from MQTT, but there is no [mqtt]";
    NO_BROKER_HELP: "добавьте [mqtt] и url = \"mqtt://127.0.0.1:1883\"", "add [mqtt] with url = \"mqtt://127.0.0.1:1883\"";
    NO_BROKER_OF: "модуль `{module}` подключён через MQTT, а таблицы [mqtt] нет", "module `{module}` is reached over MQTT, but there is no [mqtt]";
    EITHER_OR: "`{first}` и `{second}` вместе не пишут", "`{first}` and `{second}` exclude each other";
    ONE_OF: "в {place} нужно одно из двух: `{first}` или `{second}`", "{place} needs one of `{first}` and `{second}`";
    ONE_HERE: "одно здесь", "one of them here";
    ALSO_HERE: "другое здесь", "the other one here";
    DOES_NOT_APPLY: "ключ `{key}` не действует, когда {why}", "`{key}` means nothing when {why}";
    REMOVE_IT: "удалите его", "remove it";
    CAP_BELOW_BASE: "`backoff_cap` меньше, чем `backoff_base`", "`backoff_cap` is below `backoff_base`";
    SEGMENT_BUDGET: "`budget` вмещает меньше четырёх сегментов", "`budget` holds fewer than four segments";

    OSDP_CLEAR: "вход `{gate}`: линия OSDP не зашифрована", "gate `{gate}`: the OSDP line is not encrypted";
    OSDP_CLEAR_HELP: "задайте считывателю ключ: key = { file = \"osdp-{gate}\" } и limegate osdp provision --gate {gate}",
        "give the reader a key: key = { file = \"osdp-{gate}\" } and limegate osdp provision --gate {gate}";

    // C-019 and C-020: readers and time zones.
    UNKNOWN_READER: "неизвестный считыватель `{reader}`", "unknown reader `{reader}`";
    KNOWN_READERS: "есть такие: {readers}; или путь к своему профилю", "there are: {readers}; or the path of a profile of your own";
    BAD_PROFILE: "профиль считывателя {path} не годится: {why}", "the reader profile {path} is of no use: {why}";
    UNKNOWN_ZONE: "неизвестный часовой пояс `{zone}`", "unknown time zone `{zone}`";
    ZONE_HELP: "название из базы IANA, например Europe/Moscow или Asia/Yekaterinburg", "a name of the IANA database, such as Europe/Moscow or Asia/Yekaterinburg";

    // C-021 to C-023: boards.
    UNKNOWN_BOARD: "неизвестная плата `{board}`", "unknown board `{board}`";
    KNOWN_BOARDS: "есть такие: {boards}", "there are: {boards}";
    NOT_ON_BOARD: "на плате {board} нет порта {port}", "{board} has no port {port}";
    BOARD_PORTS: "порты этой платы: {ports}; USB-адаптеры: /dev/serial/by-id/...", "the ports of this board: {ports}; USB adapters: /dev/serial/by-id/...";
    NEEDS_FIRMWARE: "порт {port} платы {board} нужно включить", "{port} of {board} must be switched on";
    FIRMWARE_HELP: "{note}", "{note}";

    // C-024: files.
    NO_CA: "нет файла с сертификатом {path}", "there is no certificate file {path}";
    BAD_CA: "в файле {path} нет сертификата PEM", "{path} holds no PEM certificate";

    // C-030 to C-032: doors and modules.
    PASSAGE_FORM: "{ module = \"io1\", counter = 0 }, { module = \"io1\", input = 0 } или \"reader\"",
        "{ module = \"io1\", counter = 0 }, { module = \"io1\", input = 0 } or \"reader\"";
    UNKNOWN_MODULE: "неизвестный модуль `{module}`", "unknown module `{module}`";
    KNOWN_MODULES: "есть такие: {modules}", "there are: {modules}";
    NO_MODULES: "таблиц [[module]] в файле нет", "the file has no [[module]] tables";
    READER_HAS_NO_OUTPUT: "у считывателя {reader} нет выхода, которым можно открыть", "the reader {reader} has no output that could open";
    READER_HAS_NO_INPUT: "у считывателя {reader} нет входов", "the reader {reader} has no inputs";
    READER_HAS_NO_COUNTER: "у считывателя {reader} есть входы, но нет счётчиков", "the reader {reader} has inputs, but no counters";
    READER_SAYS_NO_PASSAGE: "считыватель {reader} сам о проходах не сообщает", "the reader {reader} does not report passages itself";
    WIRE_ITS_INPUT: "подключите контакт прохода к его входу: passage = { reader = true, input = 0 }", "wire the passage contact to its input: passage = { reader = true, input = 0 }";
    WIRE_A_CONTACT: "подключите контакт к модулю: { module = \"io1\", input = 0 }", "wire the contact to a module: { module = \"io1\", input = 0 }";
    IT_SAYS_ITSELF: "о проходах он сообщает сам: passage = \"reader\"", "it reports passages itself: passage = \"reader\"";
    NAME_ITS_MODULE: "опишите устройство и как модуль: [[module]] kind = \"mqtt-json\" с началом его тем, и open = { module = \"...\" }",
        "describe the device as a module, too: [[module]] kind = \"mqtt-json\" with what its topics begin with, and open = { module = \"...\" }";
    WIRE_A_MODULE: "подключите турникет к модулю: { module = \"io1\", output = 0 }", "wire the turnstile to a module: { module = \"io1\", output = 0 }";
    NO_EVIDENCE: "списание по проходу, а где виден проход, не сказано", "charged on the passage, but nothing says where the passage is seen";
    NO_EVIDENCE_HELP: "добавьте passage = { module = \"io1\", counter = 0 } или напишите write_off = \"open\"",
        "add passage = { module = \"io1\", counter = 0 }, or write write_off = \"open\"";
    NO_PINS: "у платы нет выводов, которые знает limegate", "the board has no pins that limegate knows";
    NO_PINS_HELP: "назовите плату в [site] board; выводы известны у {boards}", "name the board in [site] board; pins are known of {boards}";
    SAME_MODULE: "два модуля называются `{id}`", "two modules are called `{id}`";
    SAME_OUTPUT: "входы `{first}` и `{second}` открывают один выход, а настройки дверей разные", "gates `{first}` and `{second}` open one output with different doors";
    SAME_OUTPUT_HELP: "у считывателей одной двери таблица door должна быть одинаковой", "readers of one door need the same door table";

    // C-040 to C-044: modules.
    PORT_OF_READER: "порт модуля `{module}` занят считывателем входа `{gate}`", "the port of module `{module}` is used by the reader of gate `{gate}`";
    UNKNOWN_KIND: "неизвестный вид модуля `{kind}`", "unknown kind of module `{kind}`";
    KNOWN_KINDS: "есть такие: {kinds}; или путь к своей карте модуля", "there are: {kinds}; or the path of a module map of your own";
    BAD_MAP: "карта модуля {path} не годится: {why}", "the module map {path} is of no use: {why}";
    SAME_ADDRESS: "модули `{first}` и `{second}` на одной линии имеют один адрес {address}", "modules `{first}` and `{second}` on one line have the same address {address}";
    LINE_DIFFERS: "модули `{first}` и `{second}` на одной линии, а настройки линии разные: {first_line} и {second_line}",
        "modules `{first}` and `{second}` share a line, but not its settings: {first_line} and {second_line}";
    LINE_DIFFERS_HELP: "у всех модулей линии должны быть одни baud, parity, stop_bits и rs485; задайте их и в самих модулях",
        "all modules of a line need the same baud, parity, stop_bits and rs485; set the modules themselves to them, too";
    TWO_PROTOCOLS: "модули `{first}` и `{second}` говорят по разным протоколам и не могут делить линию",
        "modules `{first}` and `{second}` speak different protocols and cannot share a line";
    NO_SUCH_OUTPUT: "у модуля `{module}` нет выхода {number}", "module `{module}` has no output {number}";
    NO_SUCH_INPUT: "у модуля `{module}` нет входа {number}", "module `{module}` has no input {number}";
    NO_SUCH_COUNTER: "у модуля `{module}` нет счётчика {number}", "module `{module}` has no counter {number}";
    HAS_POINTS: "есть такие: {points}", "there are: {points}";
    HAS_NONE: "у него их нет", "it has none";
    EXPERIMENTAL: "{kind}: протокол известен из одного источника и на оборудовании не проверен", "{kind}: the protocol is known from a single source and not tried on hardware";
    EXPERIMENTAL_HELP: "проверьте открытие и счёт проходов на месте, прежде чем пускать гостей", "try opening and counting on site before guests come";

    // Controllers that come over HTTP, and readers that give too little of a card.
    SHORT_UIDS: "считыватель {reader} отдаёт только 24 бита номера карты: у разных карт они могут совпасть, и гость заплатит с чужой",
        "the reader {reader} gives only 24 bits of a card's UID: different cards can share them, and a guest would pay with another's";
    SHORT_UIDS_HELP: "настройте считыватель на полный UID; если иначе нельзя: accept_short_uids = true",
        "set the reader up to give the whole UID; if it cannot: accept_short_uids = true";
    NO_LISTENER: "контроллер входа `{gate}` приходит по HTTP, а таблицы [web_json] нет", "the controller of gate `{gate}` comes over HTTP, but there is no [web_json]";
    SAME_CONTROLLER: "входы `{first}` и `{second}` не могут быть одним контроллером", "gates `{first}` and `{second}` cannot be of one controller";
    SAME_CONTROLLER_HELP: "у входов одного контроллера разные direction и одинаковые evidence и uid_bytes",
        "gates of one controller go different ways, and say the same evidence and uid_bytes";
    BAD_STAFF_CARD: "в списке карт `{name}` строка {line} — не номер карты", "in the list of cards `{name}` line {line} is no card number";
    STAFF_CARD_HELP: "в строке до 12 шестнадцатеричных цифр, как их сообщает контроллер; после # — что угодно",
        "a line has up to 12 hex digits, as the controller tells them; behind a # stands what you like";
    STAFF_CARD_FORM: "в нём не список карт", "it is no list of cards";
    HOOK_SECRET_FORM: "нужно 16 или больше латинских букв, цифр, дефисов и подчёркиваний", "it must be 16 or more Latin letters, digits, hyphens and underscores";
    OPEN_HOOK: "{listen} открыт не только этой машине, а секрет вебхука шёл бы по сети открыто", "{listen} is open to more than this machine, and the webhook's secret would cross the network in the clear";
    OPEN_HOOK_HELP: "слушайте 127.0.0.1: вызовы CRM принимает по https обратный прокси или туннель и передаёт сюда",
        "listen on 127.0.0.1: a reverse proxy or a tunnel takes the CRM's calls over https and passes them on";
    SAME_LISTENER: "порт {listen} уже слушает [web_json]", "[web_json] listens on the port of {listen} already";
    OPEN_LISTENER: "{listen} открыт всей сети без пароля", "{listen} is open to the whole network, without a password";
    OPEN_LISTENER_HELP: "добавьте password = { file = \"web-json\" }: буквы и цифры; контроллеру дают адрес http://…/connect/ПАРОЛЬ",
        "add password = { file = \"web-json\" }, letters and digits; the controller is given the address http://…/connect/PASSWORD";

    // The end of `check`.
    IN_ORDER: "{file}: всё в порядке, {gates} {gates#вход|входа|входов}", "{file}: in order, {gates} {gates#gate|gates}";
    MISTAKES: "{n} {n#ошибка|ошибки|ошибок} в {file}", "{n} {n#mistake|mistakes} in {file}";
    AND_MORE: "и ещё {n}", "and {n} more";
    LAST_GOOD_RUNS: "Файл настроек не применён; шлюз работает на последних годных настройках. После исправления: systemctl reload limegate",
        "The config file is not applied; the gateway runs on the last good one. When it is mended: systemctl reload limegate";
    LAST_GOOD_USED: "В {file} есть ошибки (limegate check их покажет); здесь действуют последние годные настройки.",
        "{file} has mistakes (limegate check shows them); this goes by the last good config.";
    WARNINGS: "{n} {n#предупреждение|предупреждения|предупреждений}", "{n} {n#warning|warnings}";

    // [hub]
    RULE_NEVER_FITS: "до этого правила дело не дойдёт: всё, что ему подходит, забирает правило выше", "this rule can never fit: the one above takes all that would";
    RULE_HERE: "это правило", "this rule";
    RULE_FIRST: "это правило раньше", "this rule comes first";
    RULE_HELP: "поставьте узкое правило перед широким", "put the narrow rule before the wide one";
    RULE_NO_KIND: "список `kinds` пуст: правилу не подойдёт ни один чек", "`kinds` is empty: no receipt can fit this rule";
    RULE_EMPTY_RANGE: "`at_most` меньше, чем `at_least`: правилу не подойдёт ни один чек", "`at_most` is below `at_least`: no receipt can fit this rule";
}
