//! What `limegate crm` says.

super::words! {
    DONE: "Готово: в CRM есть всё, что нужно проходам.", "Done: the CRM has all that passes need.";
    NOTHING_WRITTEN: "Ничего не изменено. Создать: limegate crm setup", "Nothing was changed. To create it: limegate crm setup";
    LACKS: "Не хватает: {n}. Создать: limegate crm setup", "Missing: {n}. To create it: limegate crm setup";
    NEEDS_A_PERSON: "Нужен человек: {n} (см. выше).", "Needs a person: {n} (see above).";
    RUN_AGAIN: "Что успело создаться, осталось; повторный запуск продолжит.", "What was created until then stays; another run goes on from there.";

    NO_LOGIN: "Входить не нужно: в конфигурации указан токен или вебхук, а не OAuth.", "There is nothing to log in to: the config names a token or webhook, not OAuth.";
    OPEN: "1. Откройте в браузере под администратором CRM:", "1. Open this in a browser, as an administrator of the CRM:";
    PASTE: "2. Разрешите доступ. Вставьте сюда адрес, на который перешёл браузер, и нажмите Enter:", "2. Allow the access. Paste the address to which the browser was sent, and press Enter:";
    NOTHING_PASTED: "Ничего не вставлено.", "Nothing was pasted.";
    LOGGED_IN: "Доступ получен и сохранён на диске. Токены никуда не выводятся; шлюз подхватит их сам.", "Access was granted and is kept on disk. Tokens are shown nowhere; the gateway takes them up by itself.";
}
