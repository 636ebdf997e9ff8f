//! What an error of Bitrix24 means for the jobs it hit.
//!
//! The table follows the system errors of the official documents and the places where the server's own code differs from them. The same codes arrive
//! on a call of their own and inside a batch.

use std::time::Duration;

use super::wire::{Fault, Timing};

/// What can be done about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Not carried out; the portal has had enough of us for now.
    Busy {
        /// A stable code for status.
        reason: &'static str,
        /// Not before this.
        after: Duration,
    },
    /// Not carried out; the authorisation is refused. A person or a renewal helps.
    Auth,
    /// Not carried out; something has to be set up at the portal. The stable code says what.
    Setup(&'static str),
    /// The portal stumbled: whether a create was carried out is not known.
    Unclear,
    /// The thing that the command names is not there.
    Gone,
    /// The command names a field, funnel or stage that the portal does not know: what we remember of them is out of date.
    Stale,
    /// Refused for what it says, and will be again.
    Refused,
}

/// How long to wait where the portal names no time: the bucket drains two requests a second.
const QUERY_LIMIT_PAUSE: Duration = Duration::from_secs(2);
/// The run time of a method is accounted in one-minute pieces.
const OPERATING_PAUSE: Duration = Duration::from_secs(60);
/// A block by the vendor is lifted by people.
const OVERLOAD_PAUSE: Duration = Duration::from_secs(300);

/// Classes an error. `timing` is what the answer says of the method's budget.
#[must_use]
pub fn classify(fault: &Fault, timing: Option<Timing>) -> Class {
    let code = fault.code.to_ascii_uppercase();
    let text = fault.text.to_lowercase();
    match code.as_str() {
        "QUERY_LIMIT_EXCEEDED" => Class::Busy { reason: "crm/rate", after: QUERY_LIMIT_PAUSE },
        "OPERATION_TIME_LIMIT" => {
            Class::Busy { reason: "crm/operating_time", after: timing.and_then(|timing| timing.reset_in).unwrap_or(OPERATING_PAUSE) }
        }
        "OVERLOAD_LIMIT" => Class::Busy { reason: "crm/overload", after: OVERLOAD_PAUSE },
        "ERROR_BATCH_LENGTH_EXCEEDED" => Class::Busy { reason: "crm/batch_length", after: Duration::ZERO },
        "EXPIRED_TOKEN"
        | "NO_AUTH_FOUND"
        | "INVALID_TOKEN"
        | "AUTHORIZATION_ERROR"
        | "INVALID_CREDENTIALS"
        | "INVALID_GRANT"
        | "WRONG_CLIENT"
        | "NOT_INSTALLED" => Class::Auth,
        "INSUFFICIENT_SCOPE"
        | "ACCESS_DENIED"
        | "USER_ACCESS_ERROR"
        | "WRONG_AUTH_TYPE"
        | "ALLOWED_ONLY_INTRANET_USER"
        | "METHOD_CONFIRM_DENIED"
        | "ERROR_BATCH_METHOD_NOT_ALLOWED" => Class::Setup("setup/access"),
        "WRONG_LICENSE" | "PAYMENT_REQUIRED" | "PORTAL_DELETED" | "INVALID_REQUEST" => Class::Setup("setup/portal"),
        "ERROR_METHOD_NOT_FOUND" => Class::Setup("setup/method"),
        "INTERNAL_SERVER_ERROR" | "ERROR_UNEXPECTED_ANSWER" => Class::Unclear,
        "NOT_FOUND" | "OWNER_NOT_FOUND" | "ERROR_NOT_FOUND" => Class::Gone,
        _ if text.contains("access denied") || text.contains("доступ запрещ") => Class::Setup("setup/access"),
        _ if names_a_field_or_stage(&text) => Class::Stale,
        _ if text == "not found" || text == "not found." || text.contains("элемент не найден") || text.contains("is not exist") => {
            Class::Gone
        }
        _ => Class::Refused,
    }
}

/// The words by which the portal's texts name what [`super::schema`] resolves, in both of its languages.
fn names_a_field_or_stage(text: &str) -> bool {
    ["stage", "стади", "categor", "направлени", "воронк", "ufcrm", "uf_crm"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: &str, text: &str) -> Class {
        classify(&Fault { code: code.to_owned(), text: text.to_owned() }, None)
    }

    #[test]
    fn each_error_of_the_documents_has_its_consequence() {
        assert_eq!(class("query_limit_exceeded", ""), Class::Busy { reason: "crm/rate", after: QUERY_LIMIT_PAUSE });
        assert_eq!(class("OPERATION_TIME_LIMIT", ""), Class::Busy { reason: "crm/operating_time", after: OPERATING_PAUSE });
        assert_eq!(class("OVERLOAD_LIMIT", ""), Class::Busy { reason: "crm/overload", after: OVERLOAD_PAUSE });
        for code in ["expired_token", "NO_AUTH_FOUND", "invalid_token", "authorization_error", "INVALID_CREDENTIALS"] {
            assert_eq!(class(code, ""), Class::Auth, "{code}");
        }
        for code in ["insufficient_scope", "ACCESS_DENIED", "user_access_error", "WRONG_AUTH_TYPE"] {
            assert_eq!(class(code, ""), Class::Setup("setup/access"), "{code}");
        }
        assert_eq!(class("", "Access denied"), Class::Setup("setup/access"));
        assert_eq!(class("ERROR_METHOD_NOT_FOUND", "Method not found!"), Class::Setup("setup/method"));
        assert_eq!(class("INTERNAL_SERVER_ERROR", ""), Class::Unclear);
        assert_eq!((class("NOT_FOUND", "Элемент не найден"), class("", "Not found")), (Class::Gone, Class::Gone));
        for (code, text) in [("ERROR_CORE", "E-mail is wrong"), ("ERROR_ARGUMENT", ""), ("100", "Could not find value"), ("0", ""), ("", "")] {
            assert_eq!(class(code, text), Class::Refused, "{code} {text}");
        }
    }

    #[test]
    fn an_error_about_a_stage_or_field_makes_us_look_again() {
        assert_eq!(class("CRM_FIELD_ERROR_VALUE_NOT_VALID", "Стадия C9:DONE не найдена"), Class::Stale);
        assert_eq!(class("INVALID_ARG_VALUE", "Invalid filter: field 'ufCrm_LIME_1' is not allowed"), Class::Stale);
        assert_eq!(class("0", "stageId is not valid"), Class::Stale);
    }

    #[test]
    fn the_time_that_the_answer_names_is_kept() {
        let timing = Timing { operating: 480.0, reset_in: Some(Duration::from_secs(17)) };
        let fault = Fault { code: "OPERATION_TIME_LIMIT".to_owned(), text: String::new() };
        assert_eq!(classify(&fault, Some(timing)), Class::Busy { reason: "crm/operating_time", after: Duration::from_secs(17) });
    }
}
