//! What a guest reads at a gate: two short lines, sixteen characters each, as small displays have them.

use super::{Language, Word};

super::words! {
    GO: "Проходите", "Please enter";
    GATE_FREE: "Проход открыт", "Gate is open";
    NO_ENTRY: "Проход закрыт", "No entry";
    ASK_STAFF: "К сотруднику", "Ask the staff";
    NO_TICKET: "Нет билета", "No ticket";
    ALREADY_USED: "Уже использован", "Already used";
    NO_MONEY: "Мало средств", "Not enough money";
    TOP_UP: "Пополните карту", "Please top up";
    EXPIRED: "Срок истёк", "Expired";
    TOO_EARLY: "Ещё рано", "Not valid yet";
    OTHER_PLACE: "Не этот вход", "Not this gate";
    BLOCKED: "Заблокировано", "Blocked";
    FULL: "Мест нет", "Full";
    ALREADY_INSIDE: "Вы уже вошли", "Already inside";
    TOO_SOON: "Подождите", "Please wait";
    LIMIT: "Лимит исчерпан", "Limit reached";
    UNKNOWN: "Неизвестно", "Not known";
    NO_LINK: "Нет связи", "No connection";
    TRY_AGAIN: "Попробуйте снова", "Please try again";
}

/// The lines for a decision with this code.
#[must_use]
pub fn lines(code: &str, admitted: bool, language: Language) -> Vec<String> {
    let words: &[Word] = match code {
        "gate_free" => &[GATE_FREE],
        _ if admitted => &[GO],
        "unknown_medium" => &[UNKNOWN, ASK_STAFF],
        "no_ticket" | "payment_required" | "wrong_category" => &[NO_TICKET, ASK_STAFF],
        "already_used" => &[ALREADY_USED, ASK_STAFF],
        "insufficient_deposit" => &[NO_MONEY, TOP_UP],
        "expired" | "hold_expired" => &[EXPIRED, ASK_STAFF],
        "not_yet_valid" | "outside_hours" => &[TOO_EARLY, ASK_STAFF],
        "wrong_service_point" => &[OTHER_PLACE, ASK_STAFF],
        "blocked_card" | "blocked_client" | "client_suspended" => &[BLOCKED, ASK_STAFF],
        "capacity_full" => &[FULL, ASK_STAFF],
        "antipassback" => &[ALREADY_INSIDE, ASK_STAFF],
        "cooldown" => &[TOO_SOON],
        "limit_reached" => &[LIMIT, ASK_STAFF],
        "offline_not_allowed" | "snapshot_stale" => &[NO_LINK, ASK_STAFF],
        "internal" => &[TRY_AGAIN, ASK_STAFF],
        _ => &[NO_ENTRY, ASK_STAFF],
    };
    words.iter().map(|word| word.text(language)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_a_small_display() {
        for word in ALL {
            for language in [Language::Ru, Language::En] {
                let text = word.text(language);
                assert!(text.chars().count() <= 16, "{text}");
            }
        }
        assert_eq!(lines("insufficient_deposit", false, Language::En), ["Not enough money", "Please top up"]);
        assert_eq!(lines("something_new", false, Language::Ru), ["Проход закрыт", "К сотруднику"]);
    }
}
