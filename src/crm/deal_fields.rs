//! The fields of a deal that a receipt or a booking fills in: their codes, which are the same in every CRM, and their names, which people see and may
//! change.

use super::texts::Texts;
use crate::config::Language;

/// A field of ours on a receipt's or a booking's deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DealField {
    /// When it was bought.
    BoughtAt,
    /// The receipt's number: a refund finds the deal of its sale by it.
    Receipt,
    /// Where.
    Point,
    /// What of it was given back.
    Refunded,
    /// Lime's id of the preorder.
    Preorder,
    /// When the booking begins.
    EventFrom,
    /// When it ends.
    EventTo,
    /// The hall.
    Hall,
    /// Who serves, separated by commas.
    Staff,
    /// Paid ahead.
    Prepaid,
}

impl DealField {
    /// What a receipt's deal shows.
    pub const OF_RECEIPTS: [Self; 4] = [Self::BoughtAt, Self::Receipt, Self::Point, Self::Refunded];

    /// What a booking's deal shows.
    pub const OF_BOOKINGS: [Self; 6] = [Self::EventFrom, Self::EventTo, Self::Hall, Self::Staff, Self::Prepaid, Self::Preorder];

    /// The code under which the field is found whatever it is called.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::BoughtAt => "LIME_BOUGHT_AT",
            Self::Receipt => "LIME_RECEIPT",
            // The same field as that of a pass.
            Self::Point => "LIME_POINT",
            Self::Refunded => "LIME_REFUNDED",
            Self::Preorder => "LIME_PREORDER",
            Self::EventFrom => "LIME_EVENT_FROM",
            Self::EventTo => "LIME_EVENT_TO",
            Self::Hall => "LIME_HALL",
            Self::Staff => "LIME_STAFF",
            Self::Prepaid => "LIME_PREPAID",
        }
    }

    /// As people see it.
    #[must_use]
    pub fn name(self, texts: &Texts) -> &'static str {
        let (ru, en) = match self {
            Self::BoughtAt => ("Время покупки", "Time of purchase"),
            Self::Receipt => ("Номер чека", "Receipt number"),
            Self::Point => ("Точка обслуживания", "Service point"),
            Self::Refunded => ("Возвращено", "Refunded"),
            Self::Preorder => ("Предзаказ в Лайме", "Preorder in Lime"),
            Self::EventFrom => ("Начало мероприятия", "Event begins"),
            Self::EventTo => ("Конец мероприятия", "Event ends"),
            Self::Hall => ("Зал", "Hall"),
            Self::Staff => ("Сотрудники", "Staff"),
            Self::Prepaid => ("Предоплата", "Paid ahead"),
        };
        if texts.language == Language::Ru { ru } else { en }
    }
}
