//! What `limegate sync` says.

super::words! {
    NO_HUB: "Это устройство не ведёт обмен Лайма и CRM: в настройках нет [hub].", "This box does not run the integration of Lime and the CRM: the config has no [hub].";
    NOT_ASKED: "[hub] не включает: {what}", "[hub] does not ask for: {what}";
    RECEIPTS_NEED_SINCE: "Покупки прошлых дней не передаются без --since: добавьте дату, если они нужны.", "Purchases of the past are not brought up without --since: name a date if you want them.";
    READING: "Читаю Лайм: {what}", "Reading Lime: {what}";
    DELIVERING: "Передаю в CRM: {done} из {all}, {rate} в минуту, осталось {t}", "Delivering: {done} of {all}, {rate} a minute, {t} left";
    DELIVERING_FIRST: "Передаю в CRM: {done} из {all}", "Delivering: {done} of {all}";
    HELD_UP: "задержка: {why}", "held up: {why}";
    MAY_LEAVE: "Ctrl-C не прерывает обмен: шлюз продолжит сам.", "Ctrl-C does not end it: the gateway goes on by itself.";
    MAY_LEAVE_ALONE: "Шлюз не запущен: читаю Лайм сам. После Ctrl-C та же команда продолжит с того же места.",
        "No gateway runs: reading Lime without it. After Ctrl-C the same command goes on where it was.";
    READ_ONLY_DONE: "Прочитано: {what}. Доставит шлюз, когда будет запущен; ждут: {n}.", "Read: {what}. The gateway delivers it once it runs; waiting: {n}.";
    DONE: "Готово: {what}.", "Done: {what}.";
    DONE_WITH_REFUSED: "Готово: {what}. Отклонено {n}: limegate dead list", "Done: {what}. Refused {n}: limegate dead list";
    WOULD_SEND: "Было бы передано: {what}. Ничего не записано.", "Would be delivered: {what}. Nothing was written.";
    PASSED_OVER: "{what}: пропущено {n}", "{what}: {n} passed over";
    LIME_SILENT: "Лайм не отвечает: {why}", "Lime does not answer: {why}";
    KIND: "ЧТО", "WHAT";
    CURSOR: "ПРОЧИТАНО", "READ";
    WALK: "ОБХОД", "WALK";
    WAITING: "ЖДУТ", "WAITING";
    NEVER: "ещё нет", "not yet";
    WALKING: "идёт: {told}", "under way: {told}";
    WALKED: "пройден: {told}", "done: {told}";
    WISHED: "начнётся", "about to begin";
    CLIENTS: "клиенты", "clients";
    TRANSACTIONS: "покупки", "purchases";
    PRODUCTS: "товары", "products";
    PREORDERS: "предзаказы", "preorders";
    OTHERS_WAIT: "Ждут CRM: {what}", "Waiting for the CRM: {what}";

    NO_CONTACT: "Контакта в CRM пока нет.", "There is no contact in the CRM yet.";
    CONTACT_GONE: "Контакт {id} удалён из CRM или недоступен.", "The contact {id} was deleted in the CRM, or cannot be seen.";
    CONTACT: "Контакт {id}", "Contact {id}";
    FIELD: "ПОЛЕ", "FIELD";
    AT_LIME: "В ЛАЙМЕ", "AT LIME";
    AT_CRM: "В CRM", "IN THE CRM";
    WOULD: "ЧТО СДЕЛАЕТ", "WOULD";
    BECAUSE: "ПОЧЕМУ", "BECAUSE";
    LAST_NAME: "фамилия", "family name";
    FIRST_NAME: "имя", "first name";
    MIDDLE_NAME: "отчество", "patronymic";
    BIRTH_DATE: "дата рождения", "birth date";
    PHONES: "телефоны", "phones";
    EMAILS: "адреса", "e-mail";
    STAYS: "ничего", "nothing";
    TO_LIME: "запишет в Лайм", "write Lime";
    TO_CRM: "запишет в CRM", "write the CRM";
    TO_BOTH: "дополнит обе стороны", "complete both";
    BY_TIME: "остаётся то, что изменено позже", "what was changed later stands";
    ALIKE: "одинаково", "alike";
    LEFT_SO: "расходится, но с прошлой сверки не менялось или запись выключена", "differs, but has not changed since, or may not be written";
    FIRST_TIME: "карточки сверяются впервые", "the cards meet for the first time";
    CHANGED: "изменено с прошлой сверки", "changed since they were last alike";
    OVERRULED: "изменено с обеих сторон; решает [hub.contacts] wins", "changed on both sides; [hub.contacts] wins decides";
}
