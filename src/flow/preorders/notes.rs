//! What staff read in the deal.

use crate::config::Language;
use crate::crm::texts::Texts;
use crate::domain::{Money, Preorder};
use crate::lime::preorders::Warning;

/// Both the deal and the preorder were changed: the deal counts, and this stood in Lime.
#[must_use]
pub fn clash(preorder: &Preorder, texts: &Texts) -> String {
    let lines: Vec<String> = preorder
        .lines
        .iter()
        .map(|line| format!("{} ×{}", if line.name.is_empty() { &line.good_type_id } else { &line.name }, line.quantity))
        .collect();
    let (lines, total) = (lines.join(", "), texts.money(&preorder.total));
    match texts.language {
        Language::Ru => format!(
            "Предзаказ одновременно изменили в Лайме и в этой сделке. Действует сделка. В Лайме было: {lines}; сумма {total}. Проверьте состав."
        ),
        Language::En => {
            format!("The preorder was changed in Lime and in this deal at once. The deal counts. Lime had: {lines}; total {total}. Please check it.")
        }
    }
}

/// Rows of products that Lime does not know were left out. `None` when there are none.
#[must_use]
pub fn left_out(names: &[String], texts: &Texts) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let names = names.join(", ");
    Some(match texts.language {
        Language::Ru => format!("В предзаказ Лайма не вошли товары, которых в Лайме нет: {names}."),
        Language::En => format!("Lime does not know these products, so they are not in its preorder: {names}."),
    })
}

/// What Lime remarked when it took a preorder. `None` when there is nothing to say. `name`: a product's name by Lime's id.
#[must_use]
pub fn warnings(warnings: &[Warning], currency: &str, name: &dyn Fn(&str) -> Option<String>, texts: &Texts) -> Option<String> {
    let said: Vec<String> = warnings.iter().filter_map(|warning| said(warning, currency, name, texts)).collect();
    (!said.is_empty()).then(|| said.join(" "))
}

fn said(warning: &Warning, currency: &str, name: &dyn Fn(&str) -> Option<String>, texts: &Texts) -> Option<String> {
    let product = warning.good_type_id.as_deref().map(|id| name(id).unwrap_or_else(|| id.to_owned())).unwrap_or_default();
    let instead = warning.instead.map(|minor| texts.money(&Money { minor, currency: currency.to_owned() })).unwrap_or_default();
    let ru = texts.language == Language::Ru;
    Some(match (warning.code.as_str(), ru) {
        ("price_differs", true) => format!("В Лайме другая цена: {product} — {instead}."),
        ("price_differs", false) => format!("Lime has another price: {product}, {instead}."),
        ("inactive_product", true) => format!("В Лайме больше не продаётся: {product}."),
        ("inactive_product", false) => format!("Lime no longer sells {product}."),
        ("total_differs", true) => format!("Сумма предзаказа в Лайме: {instead}."),
        ("total_differs", false) => format!("The preorder's total in Lime is {instead}."),
        ("ambiguous_contact", true) => "В Лайме несколько клиентов с этим телефоном: выберите клиента в Лайме.".to_owned(),
        ("ambiguous_contact", false) => "More than one client in Lime has this phone: choose the client in Lime.".to_owned(),
        ("changed_in_lime", true) => "Предзаказ до этого изменили в Лайме; действует состав из сделки.".to_owned(),
        ("changed_in_lime", false) => "The preorder had been changed in Lime; the deal's content counts.".to_owned(),
        _ => return None,
    })
}
