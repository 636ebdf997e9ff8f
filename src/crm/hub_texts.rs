//! Words of the integration: fields of deals and products, lines of receipts, notes for staff.

use super::deal_fields::DealField;
use super::texts::Texts;
use crate::domain::{Money, ReceiptKind, ReceiptLine};

impl Texts {
    /// The name of a field of the integration, by its code.
    #[must_use]
    pub fn hub_field(&self, code: &str) -> &'static str {
        let deals = DealField::OF_RECEIPTS.into_iter().chain(DealField::OF_BOOKINGS).find(|field| field.code() == code);
        match (deals, code) {
            (Some(field), _) => field.name(self),
            (None, "LIME_LINES") => self.pick("Состав чека", "Receipt lines"),
            (None, "LIME_ARCHIVED") => self.pick("Снят с продажи в Лайме", "No longer sold in Lime"),
            (None, _) => self.pick("Номер товара в Лайме", "Lime product number"),
        }
    }

    /// How a product that Lime no longer sells is called.
    #[must_use]
    pub fn archived(&self, name: &str) -> String {
        format!("{}{name}", self.archived_mark())
    }

    /// What stands before such a product's name.
    #[must_use]
    pub fn archived_mark(&self) -> &'static str {
        self.pick("[архив] ", "[archived] ")
    }

    /// What kind of receipt: `Покупка`.
    #[must_use]
    pub fn receipt_kind(&self, kind: ReceiptKind) -> &'static str {
        match kind {
            ReceiptKind::Sale => self.pick("Покупка", "Sale"),
            ReceiptKind::TopUp => self.pick("Пополнение", "Top-up"),
            ReceiptKind::WriteOff => self.pick("Списание", "Write-off"),
            ReceiptKind::Refund => self.pick("Возврат", "Refund"),
            ReceiptKind::BonusAccrual => self.pick("Начисление бонусов", "Bonus accrual"),
            ReceiptKind::BonusWriteOff => self.pick("Списание бонусов", "Bonus write-off"),
            ReceiptKind::Other => self.pick("Операция", "Operation"),
        }
    }

    /// One line of a receipt: `Билет на 1 час × 2 = 1 000,00 ₽`.
    #[must_use]
    pub fn receipt_line(&self, line: &ReceiptLine, currency: &str) -> String {
        let amount = self.money(&Money { minor: line.amount, currency: currency.to_owned() });
        if line.quantity == 1 { format!("{} = {amount}", line.name) } else { format!("{} × {} = {amount}", line.name, line.quantity) }
    }

    /// That a receipt's lines do not give its sum.
    #[must_use]
    pub fn sum_differs(&self, lines: &Money, total: &Money) -> String {
        format!(
            "{}: {} {} {}",
            self.pick("Внимание, сумма строк не сходится с чеком", "Mind: the lines do not give the receipt's sum"),
            self.money(lines),
            "≠",
            self.money(total)
        )
    }

    /// `Итого: 1 000,00 ₽`.
    #[must_use]
    pub fn receipt_total(&self, total: &Money) -> String {
        format!("{}: {}", self.pick("Итого", "Total"), self.money(total))
    }

    /// The tag of what is entered as history, so that robots can leave it alone.
    #[must_use]
    pub fn history_tag(&self) -> &'static str {
        self.pick("лайм: история", "lime: history")
    }

    /// The tag of a deal of which something was given back.
    #[must_use]
    pub fn refund_tag(&self) -> &'static str {
        self.pick("лайм: возврат", "lime: refund")
    }

    /// What staff read of a preorder that Lime has taken. `revision` tells one note from the next.
    #[must_use]
    pub fn preorder_placed(&self, id: &str, total: i64, currency: &str, revision: u64, cancelled: bool) -> String {
        let number = format!("{} {revision}", self.pick("изменение", "revision"));
        if cancelled {
            return format!("{} {id} ({number}).", self.pick("В Лайме отменён предзаказ", "Cancelled in Lime: preorder"));
        }
        let total = self.money(&Money { minor: total, currency: currency.to_owned() });
        format!("{} {id}, {} {total} ({number}).", self.pick("Предзаказ в Лайме", "Preorder in Lime"), self.pick("сумма", "total"))
    }

    /// That Lime does not take a preorder, and what it said, as a code.
    #[must_use]
    pub fn preorder_refused(&self, code: &str) -> String {
        format!("{} ({code}).", self.pick("Лайм не принял предзаказ этой сделки", "Lime has refused the preorder of this deal"))
    }

    /// That a deal has products of Lime's and nobody for whom they are.
    #[must_use]
    pub fn preorder_for_nobody(&self) -> String {
        let ru = "В сделке нет контакта, поэтому предзаказа в Лайме нет. Добавьте контакт, и он появится там сам.";
        self.pick(ru, "This deal has no contact, so Lime has no preorder of it. Add a contact, and Lime gets it by itself.").to_owned()
    }
}
