//! The portal's people: `user.get`, at the top of its parameters or in `FILTER`.

use serde_json::{Value, json};

use super::{Answer, Bitrix, Done, PAGE, Parameters, start_of};
use crate::wire;

/// Id, first name, family name, still there.
const PEOPLE: [(u64, &str, &str, bool); 4] =
    [(1, "Мария", "Администратор", true), (7, "Олег", "Кассиров", true), (8, "Елена", "Праздникова", true), (9, "Пётр", "Уволенный", false)];

impl Bitrix {
    /// Rows of texts, but for `ACTIVE`.
    pub(super) fn user_get(parameters: &Parameters) -> Answer {
        let filter = parameters.get("FILTER").or_else(|| parameters.get("filter")).and_then(Value::as_object).unwrap_or(parameters);
        let text = |key: &str| filter.get(key).and_then(wire::text).filter(|text| !text.is_empty());
        let search = text("NAME_SEARCH").map(|words| words.to_lowercase());
        let fits = |(id, first, last, active): &&(u64, &str, &str, bool)| {
            let name = format!("{first} {last}").to_lowercase();
            text("ID").is_none_or(|wanted| wanted == id.to_string())
                && search.as_ref().is_none_or(|words| words.split_whitespace().all(|word| name.contains(word)))
                && text("ACTIVE").is_none_or(|wanted| matches!(wanted.as_str(), "true" | "1" | "Y") == *active)
        };
        let rows = PEOPLE.iter().filter(fits).map(
            |(id, first, last, active)| json!({"ID": id.to_string(), "ACTIVE": active, "NAME": first, "LAST_NAME": last, "SECOND_NAME": "", "WORK_POSITION": ""}),
        );
        Ok(Done::page(rows.collect(), start_of(parameters).unwrap_or(0), PAGE))
    }
}
