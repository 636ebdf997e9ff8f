//! Every word that limegate writes into a CRM, in Russian and English: field names, titles, history lines, notes.
//!
//! Times are shown in the venue's zone, never the box's. Codes are never translated.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::card::CardField;
use crate::config::Language;
use crate::domain::{Direction, Money, Quality, Right, RightKind, Transaction, WriteOff, WriteOffStatus};

/// A pass that reaches the CRM later than this after it happened says so, and why.
pub const LATE_AFTER_MS: i64 = 10 * 60 * 1000;

/// A field of the record that a pass makes (a lead, a deal).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PassField {
    /// The pass's id: the business key.
    EventUid,
    /// What Lime did.
    Kind,
    /// When the pass was.
    At,
    /// The service point.
    Point,
    /// The ticket or tariff.
    Ticket,
    /// What is left of it.
    Left,
    /// The medium, masked.
    Medium,
    /// That the record came late, and why; that its time is not sure.
    Remark,
}

impl PassField {
    /// All of them, in the order in which the CRM shows them.
    pub const ALL: [Self; 8] = [Self::At, Self::Point, Self::Kind, Self::Ticket, Self::Left, Self::Medium, Self::Remark, Self::EventUid];

    /// The code under which the field is found whatever it is called: `LIME_EVENT_UID`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::EventUid => "LIME_EVENT_UID",
            Self::Kind => "LIME_KIND",
            Self::At => "LIME_AT",
            Self::Point => "LIME_POINT",
            Self::Ticket => "LIME_TICKET",
            Self::Left => "LIME_LEFT",
            Self::Medium => "LIME_MEDIUM",
            Self::Remark => "LIME_REMARK",
        }
    }
}

/// The words of one venue.
#[derive(Clone, Debug)]
pub struct Texts {
    /// Which language.
    pub language: Language,
    /// The venue's zone.
    pub zone: TimeZone,
}

impl Texts {
    /// The words in `language`, times in `zone`.
    #[must_use]
    pub fn new(language: Language, zone: TimeZone) -> Self {
        Self { language, zone }
    }

    pub(super) fn pick(&self, ru: &'static str, en: &'static str) -> &'static str {
        match self.language {
            Language::Ru => ru,
            Language::En => en,
        }
    }

    /// The name of the group in which the fields stand.
    #[must_use]
    pub fn group(&self) -> &'static str {
        self.pick("Лайм", "Lime")
    }

    /// The tag on everything that limegate creates.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        self.pick("лайм", "lime")
    }

    /// The tag of a contact whose client is gone at Lime.
    #[must_use]
    pub fn gone_tag(&self) -> &'static str {
        self.pick("удалён в Лайме", "deleted in Lime")
    }

    /// The name of a field of the contact.
    #[must_use]
    pub fn card_field(&self, field: CardField) -> &'static str {
        match field {
            CardField::ClientId => self.pick("Номер клиента в Лайме", "Lime client number"),
            CardField::Category => self.pick("Категория", "Category"),
            CardField::Cards => self.pick("Карты и браслеты", "Cards and wristbands"),
            CardField::Birthday => self.pick("День рождения", "Birthday"),
            CardField::Children => self.pick("Дети", "Children"),
            CardField::History => self.pick("Последние 10 операций", "Last 10 operations"),
            CardField::LastVisit => self.pick("Последний визит", "Last visit"),
            CardField::Visits => self.pick("Визитов всего", "Visits in all"),
            CardField::Deposit => self.pick("Баланс депозита", "Deposit balance"),
            CardField::Bonus => self.pick("Бонусы", "Bonus points"),
            CardField::Updated => self.pick("Обновлено", "Updated"),
        }
    }

    /// The name of a field of the record that a pass makes.
    #[must_use]
    pub fn pass_field(&self, field: PassField) -> &'static str {
        match field {
            PassField::EventUid => self.pick("Ключ прохода", "Pass key"),
            PassField::Kind => self.pick("Что произошло", "What happened"),
            PassField::At => self.pick("Время прохода", "Time of the pass"),
            PassField::Point => self.pick("Точка обслуживания", "Service point"),
            PassField::Ticket => self.pick("Билет или тариф", "Ticket or tariff"),
            PassField::Left => self.pick("Остаток", "Left on it"),
            PassField::Medium => self.pick("Карта или браслет", "Card or wristband"),
            PassField::Remark => self.pick("Примечание", "Remark"),
        }
    }

    /// What a guest without a name is called.
    #[must_use]
    pub fn nameless(&self) -> &'static str {
        self.pick("Гость без имени", "Guest without a name")
    }

    /// `Проход: Батуты, вход Север, 22.11 14:32`: the service point by name, else the ticket, else the service point's id.
    #[must_use]
    pub fn deal_title(&self, write_off: &WriteOff) -> String {
        let what = match (write_off.status, write_off.direction) {
            (WriteOffStatus::Applied | WriteOffStatus::AppliedWithDebt, Direction::In) => self.pick("Проход", "Pass"),
            (WriteOffStatus::Applied | WriteOffStatus::AppliedWithDebt, Direction::Out) => self.pick("Выход", "Exit"),
            (WriteOffStatus::Recorded | WriteOffStatus::Refused, _) => self.pick("Отказ", "Refusal"),
        };
        let test = if write_off.test { self.pick("ТЕСТ. ", "TEST. ") } else { "" };
        format!("{test}{what}: {}, {}", point_or_ticket(write_off), self.show(write_off.occurred.at_ms, "%d.%m %H:%M"))
    }

    /// The title of a deal of a preorder that has no name.
    #[must_use]
    pub fn preorder(&self, id: &str) -> String {
        format!("{} {id}", self.pick("Предзаказ", "Preorder"))
    }

    /// What Lime did with the pass.
    #[must_use]
    pub fn outcome(&self, status: WriteOffStatus) -> &'static str {
        match status {
            WriteOffStatus::Applied => self.pick("Списано", "Written off"),
            WriteOffStatus::AppliedWithDebt => self.pick("Списано в долг", "Written off into debt"),
            WriteOffStatus::Recorded => self.pick("Записано без списания", "Recorded without a charge"),
            WriteOffStatus::Refused => self.pick("Отказано", "Refused"),
        }
    }

    /// What is left of the entitlement: `3 посещ.`, `1 250,50`.
    #[must_use]
    pub fn left(&self, right: &Right) -> Option<String> {
        let left = right.balance_after?;
        Some(match right.kind {
            RightKind::Deposit => self.amount(left),
            RightKind::Bonus => format!("{} {}", self.grouped(left), self.pick("бонусов", "points")),
            RightKind::Ticket | RightKind::Pass | RightKind::Other => format!("{} {}", self.grouped(left), self.pick("посещ.", "visits")),
        })
    }

    /// Why this record is not as fresh or as sure as it looks; `None` when it is both.
    #[must_use]
    pub fn remark(&self, write_off: &WriteOff, now_wall_ms: i64) -> Option<String> {
        let mut said = Vec::new();
        let at = write_off.occurred.at_ms;
        if now_wall_ms.saturating_sub(at) > LATE_AFTER_MS {
            let when = self.moment(at);
            let now = self.moment(now_wall_ms);
            said.push(match write_off.received_ms {
                Some(received) if received.saturating_sub(at) > LATE_AFTER_MS => match self.language {
                    Language::Ru => format!("Проход {when}, запись пришла с опозданием {now}: связи с Лаймом не было до {}.", self.moment(received)),
                    Language::En => format!("Pass of {when}, came late at {now}: Lime could not be reached until {}.", self.moment(received)),
                },
                _ => match self.language {
                    Language::Ru => format!("Проход {when}, запись пришла с опозданием {now}: не было связи с CRM."),
                    Language::En => format!("Pass of {when}, came late at {now}: the CRM could not be reached."),
                },
            });
        }
        if write_off.occurred.quality == Quality::Bounded {
            said.push(
                self.pick("Время прохода приблизительное: часы шлюза не были выставлены.", "The time is approximate: the box's clock was not set.")
                    .to_owned(),
            );
        }
        if write_off.status == WriteOffStatus::AppliedWithDebt {
            said.push(self.pick("Списание отмечено в Лайме как спорное.", "Lime has flagged this write-off.").to_owned());
        }
        (!said.is_empty()).then(|| said.join(" "))
    }

    /// One line of the history: `22.11.2026 14:32 · Списание · Батуты 1 час · −500,00 ₽ · sp-4`.
    #[must_use]
    pub fn history_line(&self, transaction: &Transaction) -> String {
        let mut parts = vec![self.moment(transaction.occurred_ms), self.transaction_kind(&transaction.kind).to_owned()];
        let lines: Vec<String> = transaction
            .lines
            .iter()
            .map(|line| if line.quantity == 1 { line.name.clone() } else { format!("{} ×{}", line.name, line.quantity) })
            .collect();
        if !lines.is_empty() {
            parts.push(lines.join(", "));
        }
        if let Some(total) = &transaction.total {
            parts.push(self.money(total));
        }
        if let Some(point) = &transaction.service_point {
            parts.push(point.as_str().to_owned());
        }
        parts.join(" · ")
    }

    fn transaction_kind<'a>(&self, kind: &'a str) -> &'a str {
        match kind {
            "sale" => self.pick("Покупка", "Sale"),
            "topup" => self.pick("Пополнение", "Top-up"),
            "write_off" => self.pick("Списание", "Write-off"),
            "refund" => self.pick("Возврат", "Refund"),
            "bonus_accrual" => self.pick("Начисление бонусов", "Bonus accrual"),
            "bonus_write_off" => self.pick("Списание бонусов", "Bonus write-off"),
            other => other,
        }
    }

    /// `22.11.2026 14:32` in the venue's zone.
    #[must_use]
    pub fn moment(&self, at_ms: i64) -> String {
        self.show(at_ms, "%d.%m.%Y %H:%M")
    }

    /// `YYYY-MM-DD` as `ДД.ММ.ГГГГ`; anything else as it came.
    #[must_use]
    pub fn day(&self, iso: &str) -> String {
        match iso.parse::<jiff::civil::Date>() {
            Ok(day) => day.strftime("%d.%m.%Y").to_string(),
            Err(_) => iso.to_owned(),
        }
    }

    /// `1 250,50 ₽` with no-break spaces; `RUB 1,250.50` in English.
    #[must_use]
    pub fn money(&self, money: &Money) -> String {
        let amount = self.amount(money.minor);
        match self.language {
            Language::Ru if money.currency == "RUB" => format!("{amount}\u{a0}₽"),
            Language::Ru => format!("{amount}\u{a0}{}", money.currency),
            Language::En => format!("{}\u{a0}{amount}", money.currency),
        }
    }

    fn amount(&self, minor: i64) -> String {
        let sign = if minor < 0 { "−" } else { "" };
        let absolute = minor.unsigned_abs();
        let whole = i64::try_from(absolute / 100).unwrap_or(i64::MAX);
        format!("{sign}{}{}{:02}", self.grouped(whole), self.pick(",", "."), absolute % 100)
    }

    fn grouped(&self, number: i64) -> String {
        let digits = number.unsigned_abs().to_string();
        let separator = match self.language {
            Language::Ru => '\u{a0}',
            Language::En => ',',
        };
        let mut out = String::new();
        if number < 0 {
            out.push('−');
        }
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(separator);
            }
            out.push(digit);
        }
        out
    }

    fn show(&self, at_ms: i64, format: &str) -> String {
        match Timestamp::from_millisecond(at_ms) {
            Ok(at) => at.to_zoned(self.zone.clone()).strftime(format).to_string(),
            Err(_) => self.pick("время неизвестно", "time unknown").to_owned(),
        }
    }
}

/// The service point by name, else the ticket, else the service point's id.
fn point_or_ticket(write_off: &WriteOff) -> &str {
    let ticket = || write_off.charge.as_ref().and_then(|charge| charge.title.as_deref());
    let titled = write_off.service_point_title.as_deref().filter(|title| !title.is_empty());
    titled.or_else(|| ticket().filter(|title| !title.is_empty())).unwrap_or(write_off.service_point.as_str())
}

/// `text` cut to at most `most` characters, never inside one; the cut shows as `…`.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::{Charge, Moment};

    /// 14:32 on 22.11.2026 in Yekaterinburg.
    const AT: i64 = 1_795_339_920_000;
    const MINUTE: i64 = 60_000;

    fn texts(language: Language) -> Texts {
        Texts::new(language, TimeZone::get("Asia/Yekaterinburg").unwrap())
    }

    fn write_off() -> WriteOff {
        WriteOff {
            pass_id: Uuid::from_u128(1),
            pass_seq: 1,
            status: WriteOffStatus::Applied,
            code: "ok".into(),
            transaction_id: None,
            client_id: None,
            right: None,
            charge: Some(Charge { quantity: 1, money: None, title: Some("Батуты 1 час".into()) }),
            conflict_with: None,
            gate: "n1".into(),
            service_point: "sp-4".into(),
            service_point_title: Some("Батуты, вход Север".into()),
            direction: Direction::In,
            medium_masked: String::new(),
            occurred: Moment::exact(AT),
            received_ms: Some(AT + 1_000),
            test: false,
        }
    }

    #[test]
    fn a_deal_is_titled_with_the_point_else_the_ticket_in_the_venues_time() {
        let mut pass = write_off();
        assert_eq!(texts(Language::Ru).deal_title(&pass), "Проход: Батуты, вход Север, 22.11 14:32");
        assert_eq!(texts(Language::En).deal_title(&pass), "Pass: Батуты, вход Север, 22.11 14:32");
        pass.service_point_title = None;
        assert_eq!(texts(Language::Ru).deal_title(&pass), "Проход: Батуты 1 час, 22.11 14:32");
        pass.charge = None;
        assert_eq!(texts(Language::Ru).deal_title(&pass), "Проход: sp-4, 22.11 14:32");
        (pass.test, pass.status) = (true, WriteOffStatus::Refused);
        assert_eq!(texts(Language::Ru).deal_title(&pass), "ТЕСТ. Отказ: sp-4, 22.11 14:32");
    }

    #[test]
    fn a_late_record_says_that_it_is_late_and_why() {
        let ru = texts(Language::Ru);
        let mut pass = write_off();
        assert_eq!(ru.remark(&pass, AT + 2 * MINUTE), None);
        assert_eq!(ru.remark(&pass, AT - 60 * MINUTE), None, "a clock that was set back makes nothing late");
        let late = ru.remark(&pass, AT + 90 * MINUTE).unwrap();
        assert!(late.contains("22.11.2026 14:32") && late.contains("22.11.2026 16:02") && late.contains("CRM"), "{late}");
        pass.received_ms = Some(AT + 60 * MINUTE);
        let late = ru.remark(&pass, AT + 90 * MINUTE).unwrap();
        assert!(late.contains("с Лаймом не было до 22.11.2026 15:32"), "{late}");
        pass.occurred.quality = Quality::Bounded;
        assert!(texts(Language::En).remark(&pass, AT).unwrap().contains("approximate"));
    }

    #[test]
    fn sums_are_written_as_the_language_writes_them() {
        let money = |minor| Money { minor, currency: "RUB".into() };
        assert_eq!(texts(Language::Ru).money(&money(123_456_789)), "1\u{a0}234\u{a0}567,89\u{a0}₽");
        assert_eq!(texts(Language::Ru).money(&money(-5)), "−0,05\u{a0}₽");
        assert_eq!(texts(Language::En).money(&money(125_050)), "RUB\u{a0}1,250.50");
    }

    #[test]
    fn every_field_has_a_name_of_its_own_in_both_languages() {
        for language in [Language::Ru, Language::En] {
            let texts = texts(language);
            let card: std::collections::BTreeSet<_> = CardField::ALL.into_iter().map(|field| texts.card_field(field)).collect();
            let pass: std::collections::BTreeSet<_> = PassField::ALL.into_iter().map(|field| texts.pass_field(field)).collect();
            assert_eq!((card.len(), pass.len()), (CardField::ALL.len(), PassField::ALL.len()));
        }
    }

    #[test]
    fn a_moment_that_no_calendar_holds_does_not_stop_anything() {
        assert_eq!(texts(Language::Ru).moment(i64::MAX), "время неизвестно");
        assert_eq!(cut("приве́т", 4), "при…");
    }
}
