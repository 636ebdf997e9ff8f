//! What a cashier does, for tests and the demonstration: `POST /_sandbox/lime/{action}`.
//!
//! | action | body |
//! |---|---|
//! | `register` | the client's fields, `cards: [uid]`, `children: [{first_name, birth_date, gender}]` |
//! | `change` | `client_id` and the fields; `category: adult\|child`; `child: {..}` adds one, `without_child: id` takes one away |
//! | `card` | `client_id`, `uid`: a new card; the old ones are blocked |
//! | `delete` | `client_id` |
//! | `sell` | `client_id` or none, `lines: [{good_type_id, qty, amount?}]`, `pay: cash\|card\|deposit` |
//! | `top-up` | `client_id`, `amount` |
//! | `refund` | `transaction_id`: the whole receipt |
//! | `bonus` | `client_id`, `amount` |
//! | `product` | `id` or none, `name`, `kind`, `price`, `parent_id`, `active` |
//! | `preorder` | `id` or none, and what `PUT /preorders/by-ref` takes |

use serde_json::{Map, Value, json};

use super::clients::Client;
use super::feeds::{Feed, Origin};
use super::products::{KINDS, Product};
use super::transactions::{Line, Transaction};
use super::write_offs::{Medium, Right};
use super::{Lime, registry, seed, time};

impl Lime {
    /// Does what a cashier would do, and says what came of it.
    ///
    /// # Errors
    /// The action is not known, or its body does not fit: a sentence for people.
    pub fn act(&mut self, action: &str, wall_ms: i64, body: &Value) -> Result<Value, String> {
        let wall_ms = wall_ms.saturating_add(self.time_offset_ms);
        let given = body.as_object().ok_or("the body must be an object")?;
        match action {
            "register" => self.register(wall_ms, given),
            "change" => self.change(wall_ms, given),
            "card" => self.card(wall_ms, given),
            "delete" => self.delete(wall_ms, given),
            "sell" => self.sell(wall_ms, given),
            "top-up" => self.top_up(wall_ms, given),
            "refund" => self.refund(wall_ms, given),
            "bonus" => self.bonus(wall_ms, given),
            "product" => self.product(wall_ms, given),
            "preorder" => self.cashier_preorder(wall_ms, given),
            _ => Err(format!("a cashier cannot {action}: register, change, card, delete, sell, top-up, refund, bonus, product, preorder")),
        }
    }

    fn register(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let id = self.new_client_id();
        let mut client = seed::blank(&id);
        registry::fill(&mut client, given).map_err(|field| format!("{field} cannot be taken as it is"))?;
        let mut children = Vec::new();
        for child in given.get("children").and_then(Value::as_array).into_iter().flatten() {
            children.push(self.child_of(&client, children.len() + 1, child)?);
        }
        client.children = children.iter().map(|child| child.id.clone()).collect();
        let deposit = format!("r-{}-d", id.trim_start_matches("c-"));
        self.rights.insert(deposit.clone(), Right::deposit(0));
        client.deposit = Some(deposit);
        let ids = client.children.clone();
        self.admit(client, wall_ms, &Origin::lime());
        for child in children {
            self.admit(child, wall_ms, &Origin::lime());
        }
        for uid in given.get("cards").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            self.give_card(&id, uid)?;
        }
        // Only now the parent's card shows who the children are.
        self.client_changed(&id, wall_ms, &Origin::lime());
        Ok(json!({"client_id": id, "children": ids}))
    }

    fn child_of(&self, parent: &Client, number: usize, given: &Value) -> Result<Client, String> {
        let mut child = seed::blank(&format!("{}-{number}", parent.id));
        if self.clients.contains_key(&child.id) {
            return Err(format!("there is a client {} already", child.id));
        }
        child.child = true;
        child.parents = vec![parent.id.clone()];
        parent.person.last_name.clone_into(&mut child.person.last_name);
        let given = given.as_object().ok_or("a child must be an object")?;
        registry::fill(&mut child, given).map_err(|field| format!("{field} of a child cannot be taken as it is"))?;
        Ok(child)
    }

    fn change(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let mut client = self.known(given)?.clone();
        registry::fill(&mut client, given).map_err(|field| format!("{field} cannot be taken as it is"))?;
        match given.get("category").and_then(Value::as_str) {
            None => {}
            Some("adult") => client.child = false,
            Some("child") => client.child = true,
            Some(other) => return Err(format!("there is no category {other}: adult or child")),
        }
        let id = client.id.clone();
        if let Some(child) = given.get("child") {
            let number = client.children.iter().filter_map(|id| id.rsplit('-').next()?.parse::<usize>().ok()).max().unwrap_or(0) + 1;
            let child = self.child_of(&client, number, child)?;
            client.children.push(child.id.clone());
            self.admit(child, wall_ms, &Origin::lime());
        }
        if let Some(child) = given.get("without_child").and_then(Value::as_str) {
            client.children.retain(|known| known != child);
            if let Some(child) = self.clients.get_mut(child) {
                child.parents.retain(|parent| *parent != id);
            }
            self.client_changed(child, wall_ms, &Origin::lime());
        }
        if !client.child && client.deposit.is_none() {
            let deposit = format!("r-{}-d", id.trim_start_matches("c-"));
            self.rights.insert(deposit.clone(), Right::deposit(0));
            client.deposit = Some(deposit);
        }
        self.clients.insert(id.clone(), client);
        self.client_changed(&id, wall_ms, &Origin::lime());
        self.family_changed(&id, wall_ms, &Origin::lime());
        Ok(self.client(&id).unwrap_or_default())
    }

    fn card(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let id = self.known(given)?.id.clone();
        let uid = given.get("uid").and_then(Value::as_str).filter(|uid| !uid.is_empty()).ok_or("uid is missing")?;
        let old: Vec<String> = self.clients.get(&id).into_iter().flat_map(|client| &client.cards).map(|(_, uid, _)| uid.clone()).collect();
        self.give_card(&id, uid)?;
        for old in old {
            if let Some(medium) = self.media.get_mut(&("card_uid".to_owned(), old.clone())) {
                medium.blocked = true;
            }
            let cards = self.clients.get_mut(&id).into_iter().flat_map(|client| &mut client.cards);
            cards.filter(|(_, uid, _)| *uid == old).for_each(|(_, _, state)| *state = "blocked");
        }
        self.client_changed(&id, wall_ms, &Origin::lime());
        Ok(self.client(&id).unwrap_or_default())
    }

    fn give_card(&mut self, id: &str, uid: &str) -> Result<(), String> {
        let key = ("card_uid".to_owned(), uid.to_owned());
        if self.media.contains_key(&key) {
            return Err(format!("the card {uid} is somebody's already"));
        }
        let Some(client) = self.clients.get_mut(id) else { return Err(format!("there is no client {id}")) };
        client.cards.push((format!("card-{id}-{}", client.cards.len() + 1), uid.to_owned(), "active"));
        let visits = format!("r-{id}-t");
        let rights = [Some(visits.clone()), client.deposit.clone()].into_iter().flatten().collect();
        self.rights.entry(visits).or_insert_with(|| Right::visits(0, "Абонемент на 12 посещений"));
        self.media.insert(key, Medium { client_id: Some(id.to_owned()), blocked: false, rights });
        Ok(())
    }

    fn delete(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let gone = self.known(given)?.clone();
        self.clients.remove(&gone.id);
        for (_, uid, _) in &gone.cards {
            self.media.remove(&("card_uid".to_owned(), uid.clone()));
        }
        for other in gone.parents.iter().chain(&gone.children) {
            if let Some(other) = self.clients.get_mut(other) {
                other.children.retain(|id| *id != gone.id);
                other.parents.retain(|id| *id != gone.id);
            }
            self.client_changed(other, wall_ms, &Origin::lime());
        }
        self.feeds.push(Feed::Clients, true, gone.version + 1, wall_ms, Origin::lime(), json!({"id": gone.id}));
        Ok(json!({"client_id": gone.id}))
    }

    fn sell(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let client_id = match given.get("client_id") {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.known(given)?.id.clone()),
        };
        let mut lines = Vec::new();
        for line in given.get("lines").and_then(Value::as_array).into_iter().flatten() {
            let id = line.get("good_type_id").and_then(Value::as_str).unwrap_or_default();
            let product = self.products.get(id).ok_or_else(|| format!("there is no product {id}"))?;
            let unfit = || format!("{line} is no line of a receipt");
            let quantity = line.get("qty").map_or(Some(1), super::quantity).ok_or_else(unfit)?;
            let priced = product.price.unwrap_or(0).saturating_mul(quantity);
            let amount = line.get("amount").map_or(Some(priced), super::money).ok_or_else(unfit)?;
            lines.push(Line { good_type_id: Some(id.to_owned()), name: product.name.clone(), quantity, amount, right_id: None });
        }
        if lines.is_empty() {
            return Err("lines must name at least one product".to_owned());
        }
        let total = lines.iter().map(|line| line.amount).fold(0, i64::saturating_add);
        let pay = given.get("pay").and_then(Value::as_str).unwrap_or("cash").to_owned();
        if pay == "deposit" {
            self.move_deposit(client_id.as_deref(), -total)?;
        }
        Ok(self.receipt("sale", wall_ms, client_id, lines, total, pay, None))
    }

    fn top_up(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let id = self.known(given)?.id.clone();
        let amount = positive(given)?;
        self.move_deposit(Some(&id), amount)?;
        let line = Line {
            good_type_id: Some("p-8".to_owned()), name: "Пополнение депозита".to_owned(), quantity: 1, amount, right_id: None
        };
        Ok(self.receipt("topup", wall_ms, Some(id), vec![line], amount, "card".to_owned(), None))
    }

    fn refund(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let id = given.get("transaction_id").and_then(Value::as_str).unwrap_or_default();
        let sale = self.transactions.iter().find(|row| row.id == id && matches!(row.kind, "sale" | "topup"));
        let Some(sale) = sale.cloned() else { return Err(format!("there is no sale {id}")) };
        if self.transactions.iter().any(|row| row.kind == "refund" && row.receipt_id == sale.receipt_id) {
            return Err(format!("{id} was given back already"));
        }
        let paid = sale.payments.first().map_or("cash", |(kind, _)| kind.as_str()).to_owned();
        if sale.kind == "topup" || paid == "deposit" {
            self.move_deposit(sale.client_id.as_deref(), if sale.kind == "topup" { -sale.total } else { sale.total })?;
        }
        Ok(self.receipt("refund", wall_ms, sale.client_id, sale.lines, sale.total, paid, sale.receipt_id))
    }

    fn bonus(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let id = self.known(given)?.id.clone();
        let amount = positive(given)?;
        if let Some(client) = self.clients.get_mut(&id) {
            client.bonus = client.bonus.saturating_add(amount);
        }
        Ok(json!({"transaction_id": self.accrued(wall_ms, &id, amount, "manual", Origin::lime())}))
    }

    fn product(&mut self, wall_ms: i64, given: &Map<String, Value>) -> Result<Value, String> {
        let text = |key: &str| given.get(key).and_then(Value::as_str).map(str::to_owned);
        let new = |id: String| Product {
            id,
            parent_id: None,
            name: String::new(),
            kind: "goods".to_owned(),
            price: Some(0),
            active: true,
            version: 0,
            changed_ms: wall_ms,
        };
        let id = text("id").unwrap_or_else(|| format!("p-{}", self.products.len() + 1));
        let mut product = self.products.get(&id).cloned().unwrap_or_else(|| new(id));
        product.name = text("name").unwrap_or(product.name);
        product.kind = text("kind").unwrap_or(product.kind);
        product.parent_id = text("parent_id").or(product.parent_id);
        product.price = given.get("price").map_or(product.price, super::money);
        product.active = given.get("active").and_then(Value::as_bool).unwrap_or(product.active);
        if product.name.is_empty() || !KINDS.contains(&product.kind.as_str()) {
            return Err(format!("a product needs a name, and a kind of {}", KINDS.join(", ")));
        }
        let id = product.id.clone();
        self.put_product(product, wall_ms);
        Ok(self.products.get(&id).map_or(Value::Null, Product::shown))
    }

    #[expect(clippy::too_many_arguments, reason = "one receipt has that many columns")]
    fn receipt(
        &mut self,
        kind: &'static str,
        wall_ms: i64,
        client_id: Option<String>,
        lines: Vec<Line>,
        total: i64,
        pay: String,
        receipt: Option<String>,
    ) -> Value {
        let id = self.next_transaction_id();
        let receipt_id = receipt.unwrap_or_else(|| format!("rc-{}", self.transactions.len() + 1));
        let answer = json!({"transaction_id": id, "receipt_id": receipt_id, "total": total});
        let transaction = Transaction {
            id,
            kind,
            client_id,
            receipt_id: Some(receipt_id),
            occurred_at: time(wall_ms),
            received_ms: wall_ms,
            service_point_id: None,
            write_off_id: None,
            lines,
            total,
            payments: vec![(pay, total)],
        };
        self.book(transaction, Origin::lime());
        answer
    }

    fn move_deposit(&mut self, client_id: Option<&str>, by: i64) -> Result<(), String> {
        let right = client_id.and_then(|id| self.clients.get(id)).and_then(|client| client.deposit.clone());
        let right = right.and_then(|right| self.rights.get_mut(&right)).ok_or("this client has no deposit")?;
        right.balance = right.balance.saturating_add(by);
        Ok(())
    }

    fn known(&self, given: &Map<String, Value>) -> Result<&Client, String> {
        let id = given.get("client_id").and_then(Value::as_str).ok_or("client_id is missing")?;
        self.clients.get(id).ok_or_else(|| format!("there is no client {id}"))
    }
}

fn positive(given: &Map<String, Value>) -> Result<i64, String> {
    given.get("amount").and_then(super::money).filter(|amount| *amount > 0).ok_or_else(|| "amount must be minor units above 0".to_owned())
}
