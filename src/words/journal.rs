//! What the journal's and the tap's commands say.

super::words! {
    TAP_LISTENS: "Жду проходов; Ctrl-C — закончить.", "Waiting for passes; Ctrl-C ends.";
    TAP_STORED: "сохранён за {ms} мс", "stored in {ms} ms";
    TAP_ADMITTED: "впускаем", "let in";
    TAP_NOT_ADMITTED: "не впускаем: {code}", "not let in: {code}";
    TAP_PASSED: "прошёл", "went through";
    TAP_NOT_PASSED: "не прошёл", "did not go through";
    TAP_PASSAGE_UNKNOWN: "прошёл ли, не видно", "nobody saw whether anyone went through";
    TAP_LIME: "Лайм: {code}", "Lime: {code}";
    TAP_CRM: "в CRM", "in the CRM";
    TAP_REFUSED: "отклонён ({by}): {reason}", "refused by {by}: {reason}";

    SEQ: "НОМЕР", "SEQ";
    TIME: "ВРЕМЯ", "TIME";
    KEY: "КЛЮЧ", "KEY";
    WHAT: "ЧТО", "WHAT";
    MEDIUM: "НОСИТЕЛЬ/ID", "MEDIUM/ID";
    NOTE: "ПОМЕТКА", "NOTE";
    REASON: "ПРИЧИНА", "REASON";

    STATE_WAITING: "ждёт", "waiting";
    STATE_SENDING: "отправляется", "sending";
    STATE_DELIVERED: "отправлено", "delivered";
    STATE_REFUSED: "отклонено", "refused";
    STATE_DROPPED: "снято", "dropped";

    MORE: "Показано {shown} из {all}; --limit покажет больше.", "{shown} of {all} shown; --limit shows more.";
    NOTHING: "Ничего нет.", "Nothing.";
    NO_SUCH: "Записи {key} нет в журнале.", "There is no {key} in the journal.";
    STAT: "{bytes} КиБ из {budget} КиБ, сегментов {segments}, записи {first}–{last}", "{bytes} KiB of {budget} KiB, {segments} segments, records {first} to {last}";
    VERIFIED: "Проверено записей: {records}. Повреждений нет.", "{records} records checked. No damage.";
    DAMAGED: "Проверено записей: {records}. Повреждено или потеряно: {damaged}.", "{records} records checked. Damaged or missing: {damaged}.";

    NOT_RUNNING: "Шлюз не запущен ({why}). Запустить: systemctl start limegate", "The gateway does not run ({why}). Start it: systemctl start limegate";
    SOCKET_TROUBLE: "Шлюз не отвечает: {why}", "The gateway does not answer: {why}";
    NOT_DEAD: "{key} не среди отклонённых. Список: limegate dead list", "{key} is not among the refused. List them: limegate dead list";
    REVIVED: "Снова отправляется: {n}", "On their way again: {n}";
    DROPPED_NOW: "Снято с доставки: {n}. Причина записана.", "Given up: {n}. The reason is journalled.";
    REASON_NEEDED: "Нужна причина: --reason \"...\"", "A reason is needed: --reason \"...\"";
    DOOR_OPENED: "{point}: открыто. Кто и почему, записано.", "{point}: opened. Who and why is journalled.";
    STARTED: "Шлюз работает: входов {gates}, журнал {state}", "The gateway runs: {gates} gates, journal in {state}";

    REMOTE: "{to}: спрошено {asked}, найдено {found}, не найдено {missing}, дважды {doubled}", "{to}: asked {asked}, found {found}, missing {missing}, doubled {doubled}";
    DEALS_AT: "{to}, сделки чеков и предзаказов", "{to}, deals of receipts and preorders";
    REMOTE_MISSING: "  не найден: {key}", "  missing: {key}";
    REMOTE_DOUBLED: "  дважды: {key}", "  doubled: {key}";
    REMOTE_MORE: "  и ещё {n}; все — с --json", "  and {n} more; --json shows all";
    LIME_NOT_ASKABLE: "Лайм нельзя спросить (в API нет write-offs:lookup)", "Lime cannot be asked (the API lacks write-offs:lookup)";
    REMOTE_FAILED: "{to}: ответа нет ({why})", "{to}: no answer ({why})";
    STILL_ASKING: "Всё ещё спрашиваю, прошло {t}; пределы CRM соблюдаются.", "Still asking, {t} so far; the CRM's limits hold.";
}
