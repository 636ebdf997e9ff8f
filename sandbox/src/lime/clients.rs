//! Clients, their children, cards and balances, as they read.

use serde_json::{Map, Value, json};

use super::feeds::{Feed, Origin};
use super::{CURRENCY, Lime};
use crate::people::Person;

/// Most clients of one `POST /clients:batch`.
const MAX_IDS: usize = 100;

/// A client. Children are clients of their own, bound by a relation.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) changed_ms: i64,
    pub(super) person: Person,
    pub(super) child: bool,
    pub(super) phones: Vec<String>,
    pub(super) emails: Vec<String>,
    /// Card id, UID, state.
    pub(super) cards: Vec<(String, String, &'static str)>,
    /// The right that is this client's deposit.
    pub(super) deposit: Option<String>,
    pub(super) bonus: i64,
    pub(super) mailing: bool,
    pub(super) created_via: String,
    pub(super) children: Vec<String>,
    pub(super) parents: Vec<String>,
    pub(super) transactions: Vec<usize>,
}

/// The ids and how many transactions each, from the body of `POST /clients:batch`.
pub(super) fn asked(body: &Map<String, Value>) -> Result<(Vec<String>, usize), String> {
    let ids = body.get("ids").and_then(Value::as_array).filter(|ids| (1..=MAX_IDS).contains(&ids.len()));
    let texts = ids.and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>());
    let transactions = body.get("transactions").map_or(Some(10), Value::as_u64).filter(|count| *count <= 100);
    match (texts, transactions.and_then(|count| usize::try_from(count).ok())) {
        (Some(ids), Some(transactions)) => Ok((ids, transactions)),
        _ => Err(format!("ids must be a list of 1 to {MAX_IDS} texts, transactions a number up to 100")),
    }
}

/// The category's id, name and kind.
pub(super) const fn category(child: bool) -> (&'static str, &'static str, &'static str) {
    if child { ("cat-child", "Ребёнок", "child") } else { ("cat-adult", "Взрослый", "adult") }
}

/// The relation's id and name, by the role and sex of the other.
pub(super) const RELATIONS: [(&str, &str, &str); 4] =
    [("child", "rel-child-m", "сын"), ("child", "rel-child-f", "дочь"), ("parent", "rel-parent-m", "отец"), ("parent", "rel-parent-f", "мать")];

/// Texts that are empty read as null.
fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Lime {
    pub(super) fn clients(&self, ids: &[String], transactions: usize) -> Value {
        let item =
            |id: &String| json!({"id": id, "client": self.client(id), "transactions": self.transactions_of(id, transactions).unwrap_or_default()});
        json!({"items": ids.iter().map(item).collect::<Vec<_>>()})
    }

    /// A client as `GET /clients/{id}` shows them.
    #[must_use]
    pub fn client(&self, id: &str) -> Option<Value> {
        let client = self.clients.get(id)?;
        let (category, name, kind) = category(client.child);
        let deposit = client.deposit.as_ref().and_then(|right| self.rights.get(right)).map(|right| right.balance);
        let children = client.children.iter().filter_map(|id| self.relation(id, "child"));
        let parents = client.parents.iter().filter_map(|id| self.relation(id, "parent"));
        Some(json!({
            "id": client.id,
            "version": client.version,
            "category": {"id": category, "name": name, "kind": kind},
            "last_name": filled(&client.person.last_name),
            "first_name": filled(&client.person.first_name),
            "middle_name": filled(&client.person.middle_name),
            "birth_date": filled(&client.person.birth_date),
            "gender": if client.person.female { "female" } else { "male" },
            "phones": client.phones,
            "emails": client.emails,
            "cards": client.cards.iter().map(|(id, uid, state)| json!({"id": id, "uid": uid, "state": state})).collect::<Vec<_>>(),
            "balances": {"deposit": deposit, "bonus": client.bonus, "currency": CURRENCY},
            "consents": {"mailing": client.mailing},
            "relations": children.chain(parents).collect::<Vec<_>>(),
            "created_via": client.created_via,
        }))
    }

    fn relation(&self, id: &str, role: &str) -> Option<Value> {
        let other = self.clients.get(id)?;
        let sex = if other.person.female { 'f' } else { 'm' };
        let (_, relation, name) = RELATIONS.into_iter().find(|(known, id, _)| *known == role && id.ends_with(sex))?;
        let (category, _, kind) = category(other.child);
        Some(json!({
            "client_id": other.id,
            "relation_type": {"id": relation, "name": name},
            "role": role,
            "category": {"id": category, "kind": kind},
            "first_name": filled(&other.person.first_name),
            "birth_date": filled(&other.person.birth_date),
        }))
    }

    /// A client has changed: the next version, told in the feed.
    pub(super) fn client_changed(&mut self, id: &str, wall_ms: i64, origin: &Origin) {
        let Some(client) = self.clients.get_mut(id) else { return };
        client.version += 1;
        client.changed_ms = wall_ms;
        let version = client.version;
        if let Some(shown) = self.client(id) {
            self.feeds.push(Feed::Clients, false, version, wall_ms, origin.clone(), shown);
        }
    }

    /// Those whose cards show this client have changed with it.
    pub(super) fn family_changed(&mut self, id: &str, wall_ms: i64, origin: &Origin) {
        let family: Vec<String> =
            self.clients.get(id).map(|client| client.parents.iter().chain(&client.children).cloned().collect()).unwrap_or_default();
        for other in family {
            self.client_changed(&other, wall_ms, origin);
        }
    }

    /// Whose deposit this is.
    pub(super) fn owner_of(&self, right: &str) -> Option<String> {
        // Deposits are named after the family's number: `r-7-d` is that of `c-7`.
        let id = format!("c-{}", right.strip_prefix("r-")?.strip_suffix("-d")?);
        self.clients.contains_key(&id).then_some(id)
    }
}
