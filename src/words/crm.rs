//! What `limegate crm` says.

super::words! {
    DONE: "Готово: в CRM есть всё, что нужно проходам.", "Done: the CRM has all that passes need.";
    NOTHING_WRITTEN: "Ничего не изменено. Создать: limegate crm setup", "Nothing was changed. To create it: limegate crm setup";
    LACKS: "Не хватает: {n}. Создать: limegate crm setup", "Missing: {n}. To create it: limegate crm setup";
    NEEDS_A_PERSON: "Нужен человек: {n} (см. выше).", "Needs a person: {n} (see above).";
    RUN_AGAIN: "Что успело создаться, осталось; повторный запуск продолжит.", "What was created until then stays; another run goes on from there.";

    PRODUCTS: "список товаров", "list of products";
    NO_PRODUCTS: "amoCRM: список товаров недоступен ({said})", "amoCRM: the list of products is not available ({said})";
    SWITCH_PRODUCTS_ON: "включите список «Товары» в настройках amoCRM под администратором (нужен тариф «Расширенный» или выше) или отключите его в конфигурации: [hub] products = false", "switch the list of products on in amoCRM's settings, as an administrator (it takes the tariff \"Advanced\" or higher), or switch it off in the config: [hub] products = false";
    NO_PIPELINE: "{place}: воронка {wanted} не найдена. Есть: {existing}.", "{place}: pipeline {wanted} not found. Existing: {existing}.";
    NO_STAGE: "{place}: этап {wanted} не найден. Есть: {existing}.", "{place}: stage {wanted} not found. Existing: {existing}.";
    NO_PERSON: "{place}: сотрудник {wanted} не найден. Есть: {existing}.", "{place}: user {wanted} not found. Existing: {existing}.";
    SEVERAL: "{place}: имя «{wanted}» встречается не один раз: id {existing}.", "{place}: the name \"{wanted}\" is there more than once: ids {existing}.";
    GIVE_ID: "укажите в конфигурации id: { id = 123 }", "give the id in the config: { id = 123 }";
    GIVE_NAME: "укажите имя или id из этого списка", "give a name or an id from this list";
    CREATE_OR_NAME: "если воронку или этап переименовали, укажите в конфигурации новое имя или { id = 123 }; создать: limegate crm setup --pipelines", "where a pipeline or stage was renamed, put its new name or { id = 123 } into the config; to create it: limegate crm setup --pipelines";
    USUAL_PIPELINE: "если в конфигурации не указано иное, заявки на мероприятия и покупки идут в эту воронку; укажите свою ([hub.preorders] pipeline = \"…\") или создайте эту: limegate crm setup --pipelines", "unless the config names another, bookings and purchases go to this pipeline; name yours ([hub.preorders] pipeline = \"…\") or create this one: limegate crm setup --pipelines";
    NO_GROUP: "{place}: в Lime нет ни группы товаров, ни товара {wanted}", "{place}: Lime has no product group and no product {wanted}";
    NAME_A_GROUP: "укажите название группы из Lime или { id = \"…\" }; пока её нет, правило не подойдёт ни к одному чеку", "name a group as Lime has it, or { id = \"…\" }; until it is there, the rule fits no receipt";
    GROUPS_UNKNOWN: "Группы товаров в правилах не проверены: {why}", "The product groups in the rules were not checked: {why}";
    FIRST_STAGE: "Новая заявка", "New request";

    NO_LOGIN: "Входить не нужно: в конфигурации указан токен или вебхук, а не OAuth.", "There is nothing to log in to: the config names a token or webhook, not OAuth.";
    OPEN: "1. Откройте в браузере под администратором CRM:", "1. Open this in a browser, as an administrator of the CRM:";
    PASTE: "2. Разрешите доступ. Вставьте сюда адрес, на который перешёл браузер, и нажмите Enter:", "2. Allow the access. Paste the address to which the browser was sent, and press Enter:";
    NOTHING_PASTED: "Ничего не вставлено.", "Nothing was pasted.";
    LOGGED_IN: "Доступ получен и сохранён на диске. Токены никуда не выводятся; шлюз подхватит их сам.", "Access was granted and is kept on disk. Tokens are shown nowhere; the gateway takes them up by itself.";
}
