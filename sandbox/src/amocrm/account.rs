//! `GET /account`: all keys of a real answer, for clients that insist on them.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::envelope::HAL;
use super::{ACCOUNT, Amo, Call, MANAGER, USER};
use crate::wire;

/// The account's time zone.
pub(super) const ZONE: &str = "Europe/Moscow";

impl Amo {
    /// `GET /users`: who the API acts as, and who works in the interface.
    pub(super) fn users(&self, call: &Call<'_>) -> Response<Bytes> {
        let shown = [(USER, "Администратор", "admin@example.com", true), (MANAGER, "Менеджер", "manager@example.com", false)].map(
            |(id, name, email, admin)| {
                json!({"id": id, "name": name, "email": email, "lang": "ru",
                "rights": {"is_admin": admin, "is_free": false, "is_active": true, "group_id": null, "role_id": null},
                "_links": {"self": {"href": self.href(&format!("users/{id}"))}}})
            },
        );
        self.listed(call, "users", shown.to_vec(), true)
    }

    pub(super) fn account(&self, query: &Value) -> Response<Bytes> {
        let with = query.get("with").and_then(Value::as_str).unwrap_or_default();
        let has = |name: &str| with.split(',').any(|part| part == name);
        let mut account = json!({
            "id": ACCOUNT, "name": "Парк", "subdomain": "park", "language": "ru", "created_at": 1_700_000_000, "created_by": 0,
            "updated_at": 1_700_000_000,
            "updated_by": 0, "current_user_id": USER, "country": "RU", "currency": "RUB", "currency_symbol": "₽", "customers_mode": "segments",
            "is_unsorted_on": true, "mobile_feature_version": 0, "is_loss_reason_enabled": true, "is_helpbot_enabled": false,
            "is_technical_account": false,
            "contact_name_display_order": 1, "_links": {"self": {"href": format!("{}/api/v4/account", self.base)}},
        });
        let mut embedded = serde_json::Map::new();
        if has("datetime_settings") {
            embedded.insert(
                "datetime_settings".to_owned(),
                json!({"date_pattern": "d.m.Y H:i", "short_date_pattern": "d.m.Y", "short_time_pattern": "H:i", "date_format": "d.m.Y",
                    "time_format": "H:i:s", "timezone": ZONE, "timezone_offset": "+03:00"}),
            );
        }
        if has("users_groups") {
            embedded.insert("users_groups".to_owned(), json!([{"id": 0, "name": "Отдел продаж", "uuid": null}]));
        }
        if has("task_types") {
            let task = |id: u64, name: &str, code: &str| json!({"id": id, "name": name, "color": null, "icon_id": null, "code": code});
            embedded.insert("task_types".to_owned(), json!([task(1, "Связаться", "FOLLOW_UP"), task(2, "Встреча", "MEETING")]));
        }
        if let Value::Object(map) = &mut account {
            if has("is_api_filter_enabled") {
                map.insert("is_api_filter_enabled".to_owned(), json!(self.filters_enabled));
            }
            if has("version") {
                map.insert("version".to_owned(), json!(12));
            }
            if !embedded.is_empty() {
                map.insert("_embedded".to_owned(), Value::Object(embedded));
            }
        }
        wire::json_as(HAL, StatusCode::OK, &account)
    }
}
