//! The product groups that rules for deals name, against the products that Lime has: for `crm check`, the same for every CRM. Pure.
//!
//! A rule whose group is not there takes no receipt, and nobody would know why its pipeline stays empty.

use crate::config::{Hub, Language, StageRef};
use crate::domain::Product;
use crate::flow::deals::alike;
use crate::words::crm as words;

use super::setup::{Item, Owner, State, Subject};

/// Whether any rule names a group, so that Lime has to be asked.
#[must_use]
pub fn are_named(hub: &Hub) -> bool {
    hub.deals.iter().any(|rule| named(rule.group.as_ref()).is_some())
}

/// How each group that a rule names stands, once for each. A product is named in the same way as a group is.
#[must_use]
pub fn items(hub: &Hub, products: &[Product], language: Language) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for (number, rule) in hub.deals.iter().enumerate() {
        let Some(group) = named(rule.group.as_ref()) else { continue };
        let found = products.iter().find(|product| match group {
            StageRef::Id(id) => product.id == *id,
            StageRef::Name(name) => alike(&product.name, name),
            StageRef::Default => true,
        });
        let (name, state) = match (found, group) {
            (Some(product), _) => (product.name.clone(), State::Present),
            (None, StageRef::Name(name)) => (name.clone(), missing(number + 1, name, language)),
            (None, StageRef::Id(id)) => (format!("id {id}"), missing(number + 1, &format!("id {id}"), language)),
            (None, StageRef::Default) => continue,
        };
        let code = found.map(|product| product.id.clone());
        let item = Item { subject: Subject::ProductGroup, owner: Owner::Product, name, code, kind: None, state };
        if !items.iter().any(|known| known.name == item.name && known.code == item.code) {
            items.push(item);
        }
    }
    items
}

fn named(group: Option<&StageRef>) -> Option<&StageRef> {
    group.filter(|group| **group != StageRef::Default)
}

fn missing(rule: usize, wanted: &str, language: Language) -> State {
    let place = format!("[[hub.deal]] {rule}: group");
    State::Wrong { found: words::NO_GROUP.with("place", place).with("wanted", wanted).text(language), action: words::NAME_A_GROUP.text(language) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CrmKind;
    use crate::domain::ProductKind;

    fn product(id: &str, name: &str) -> Product {
        Product {
            id: id.into(),
            parent_id: None,
            name: name.into(),
            kind: ProductKind::Other,
            price: None,
            active: true,
            image_url: None,
            version: 1,
        }
    }

    #[test]
    fn a_group_is_found_by_name_or_id_and_one_that_lime_lacks_is_said_with_its_rule() {
        let mut hub = Hub::usual(&crm(), Language::En);
        assert!(!are_named(&hub));
        let with = |group: StageRef| crate::config::DealRule { group: Some(group), ..Hub::usual(&crm(), Language::En).deals[0].clone() };
        hub.deals = vec![
            with(StageRef::Name("напитки".into())),
            with(StageRef::Id("g-9".into())),
            with(StageRef::Name("Батуты".into())),
            with(StageRef::Name("Батуты".into())),
        ];
        let items = items(&hub, &[product("g-1", " Напитки"), product("p-1", "Вода")], Language::En);
        assert!(are_named(&hub));
        assert_eq!(items.iter().map(|item| item.state == State::Present).collect::<Vec<_>>(), [true, false, false]);
        let said = format!("{:?}", items[1].state);
        assert!(said.contains("[[hub.deal]] 2: group") && said.contains("id g-9"), "{said}");
    }

    fn crm() -> CrmKind {
        CrmKind::AmoCrm(crate::config::AmoCrm {
            url: "https://park.amocrm.ru".into(),
            auth: crate::config::AmoAuth::Token(crate::config::SecretSource::Env("T".into())),
            pipeline: StageRef::Default,
            stage: StageRef::Default,
        })
    }
}
