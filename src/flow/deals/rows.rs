//! The rows of a deal: the receipt's lines, so written that price times quantity adds up exactly.

use crate::config::Language;
use crate::crm::texts::Texts;
use crate::domain::{Receipt, ReceiptLine};

/// One row of a deal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Lime's id of the product; none for what is no product.
    pub product: Option<String>,
    /// What.
    pub name: String,
    /// How many; at least 1.
    pub quantity: i64,
    /// Minor units for one. Negative in a discount.
    pub price: i64,
}

impl Row {
    /// Minor units for all of them.
    #[must_use]
    pub fn amount(&self) -> i64 {
        self.price.saturating_mul(self.quantity)
    }
}

/// How much more, in minor units, the receipt's total is than its lines: negative where a discount was given on the whole, 0 where they agree.
#[must_use]
pub fn difference(receipt: &Receipt) -> i64 {
    receipt.total.minor.saturating_sub(receipt.lines.iter().map(|line| line.amount).fold(0, i64::saturating_add))
}

/// The rows of a receipt's deal. They add up to the total: a line whose amount cannot be divided by its quantity becomes two rows, and where the lines do
/// not add up, a row for the discount or surcharge is the last.
#[must_use]
pub fn rows(receipt: &Receipt, texts: &Texts) -> Vec<Row> {
    let mut rows: Vec<Row> = receipt.lines.iter().flat_map(line_rows).collect();
    let difference = difference(receipt);
    if difference != 0 {
        let name = match (texts.language, difference < 0) {
            (Language::Ru, true) => "Скидка",
            (Language::Ru, false) => "Наценка",
            (Language::En, true) => "Discount",
            (Language::En, false) => "Surcharge",
        };
        rows.push(Row { product: None, name: name.to_owned(), quantity: 1, price: difference });
    }
    rows
}

fn line_rows(line: &ReceiptLine) -> impl Iterator<Item = Row> {
    let quantity = line.quantity.max(1);
    let (price, left) = (line.amount.div_euclid(quantity), line.amount.rem_euclid(quantity));
    let row = |quantity: i64, price: i64| Row { product: line.good_type_id.clone(), name: line.name.clone(), quantity, price };
    // Ten for three: two of 3 and one of 4.
    [row(quantity - left, price), row(left, price.saturating_add(1))].into_iter().filter(|row| row.quantity > 0)
}
