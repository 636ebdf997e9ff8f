//! Clients, their children, cards and balances, and the list of their transactions.

use serde_json::{Map, Value, json};

use super::{CURRENCY, Lime, time};
use crate::people::Person;

/// Most clients of one `POST /clients:batch`.
const MAX_IDS: usize = 100;

/// A client. Children are clients of their own, bound by a relation.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) person: Person,
    pub(super) child: bool,
    pub(super) phone: Option<String>,
    pub(super) email: Option<String>,
    /// Card id, UID, state.
    pub(super) cards: Vec<(String, String, &'static str)>,
    /// The right that is this client's deposit.
    pub(super) deposit: Option<String>,
    pub(super) bonus: i64,
    pub(super) children: Vec<String>,
    pub(super) parents: Vec<String>,
    pub(super) transactions: Vec<usize>,
}

/// One write-off as a transaction (sales and top-ups come with their issue).
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) client_id: Option<String>,
    pub(super) occurred_at: String,
    pub(super) received_ms: i64,
    pub(super) service_point_id: String,
    pub(super) write_off_id: String,
    pub(super) right_id: String,
    pub(super) title: String,
    pub(super) quantity: i64,
    pub(super) amount: i64,
}

impl Transaction {
    fn shown(&self) -> Value {
        json!({
            "id": self.id, "type": "write_off", "client_id": self.client_id, "card_id": null, "receipt_id": null,
            "occurred_at": self.occurred_at, "received_at": time(self.received_ms),
            "service_point_id": self.service_point_id, "write_off_id": self.write_off_id,
            "lines": [{"good_type_id": null, "name": self.title, "qty": self.quantity, "amount": self.amount, "right_id": self.right_id}],
            "total": self.amount, "currency": CURRENCY, "payments": [],
        })
    }
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

impl Lime {
    pub(super) fn clients(&self, ids: &[String], transactions: usize) -> Value {
        let item =
            |id: &String| json!({"id": id, "client": self.client(id), "transactions": self.transactions_of(id, transactions).unwrap_or_default()});
        json!({"items": ids.iter().map(item).collect::<Vec<_>>()})
    }

    pub(super) fn client(&self, id: &str) -> Option<Value> {
        let client = self.clients.get(id)?;
        let category = if client.child {
            json!({"id": "cat-child", "name": "Ребёнок", "kind": "child"})
        } else {
            json!({"id": "cat-adult", "name": "Взрослый", "kind": "adult"})
        };
        let deposit = client.deposit.as_ref().and_then(|right| self.rights.get(right)).map(|right| right.balance);
        let children = client.children.iter().filter_map(|id| self.relation(id, "child"));
        let parents = client.parents.iter().filter_map(|id| self.relation(id, "parent"));
        Some(json!({
            "id": client.id,
            "version": client.version,
            "category": category,
            "last_name": client.person.last_name,
            "first_name": client.person.first_name,
            "middle_name": client.person.middle_name,
            "birth_date": client.person.birth_date,
            "gender": if client.person.female { "female" } else { "male" },
            "phones": client.phone.iter().collect::<Vec<_>>(),
            "emails": client.email.iter().collect::<Vec<_>>(),
            "cards": client.cards.iter().map(|(id, uid, state)| json!({"id": id, "uid": uid, "state": state})).collect::<Vec<_>>(),
            "balances": {"deposit": deposit, "bonus": client.bonus, "currency": CURRENCY},
            "consents": {"mailing": true},
            "relations": children.chain(parents).collect::<Vec<_>>(),
            "created_via": "cashdesk",
        }))
    }

    fn relation(&self, id: &str, role: &str) -> Option<Value> {
        let other = self.clients.get(id)?;
        let name = match (role, other.person.female) {
            ("child", true) => "дочь",
            ("child", false) => "сын",
            (_, true) => "мать",
            (_, false) => "отец",
        };
        Some(json!({
            "client_id": other.id,
            "relation_type": {"id": format!("rel-{role}-{}", if other.person.female { "f" } else { "m" }), "name": name},
            "role": role,
            "category": {"id": if other.child { "cat-child" } else { "cat-adult" }, "kind": if other.child { "child" } else { "adult" }},
            "first_name": other.person.first_name,
            "birth_date": other.person.birth_date,
        }))
    }

    /// Newest first, by when the pass was.
    pub(super) fn transactions_of(&self, id: &str, limit: usize) -> Option<Vec<Value>> {
        let client = self.clients.get(id)?;
        let mut own: Vec<&Transaction> = client.transactions.iter().filter_map(|at| self.transactions.get(*at)).collect();
        own.sort_by_key(|transaction| std::cmp::Reverse(crate::wire::parse_rfc3339(&transaction.occurred_at).unwrap_or(transaction.received_ms)));
        Some(own.into_iter().take(limit.min(100)).map(Transaction::shown).collect())
    }
}
