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
    BALANCED: "СХОДИТСЯ", "OK";
    UNBALANCED: "НЕ СХОДИТСЯ", "DIFFERS";
}
