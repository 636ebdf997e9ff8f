//! What a contact's card in the CRM shows of a client: pure, from what Lime answers.
//!
//! A card has three parts that change at different paces; each CRM writes a part only when its hash differs from the one the ledger keeps ([`Written`]),
//! so that an unchanged card costs no request. Never: a full card number; a field of the CRM blanked because Lime has nothing; personal data in
//! [`Written`].

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::texts::{Texts, cut};
use crate::domain::{Client, Personal, Phone, RelationRole, Transaction, WriteOff, WriteOffStatus};

/// Lines of the history.
pub const HISTORY_LINES: usize = 10;
/// Characters of the history, all lines together: no limit of a CRM's long text field is known to lie below 4 000.
pub const HISTORY_CHARS: usize = 3_900;
/// Passes whose ids are kept to know which the card already shows.
const SEEN: usize = 20;
/// Characters of a card's number that stay readable.
const MASK: usize = 4;
/// The namespace of the hashes; any fixed value would do, it must only never change.
const NAMESPACE: Uuid = Uuid::from_u128(0x7d1f_52c0_5d0a_4b52_9a7e_6c69_6d65_6763);

/// A field of the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CardField {
    /// Lime's id of the client: the business key.
    ClientId,
    /// Adult, child, as the venue names it.
    Category,
    /// Cards and wristbands, masked.
    Cards,
    /// Birth date.
    Birthday,
    /// Children: a line each.
    Children,
    /// The last ten operations: a line each.
    History,
    /// When the client last passed.
    LastVisit,
    /// Passes in all.
    Visits,
    /// Money on deposit.
    Deposit,
    /// Bonus points.
    Bonus,
    /// When the card was last brought up to date.
    Updated,
}

impl CardField {
    /// All of them, in the order in which the CRM shows them (ux: balance first, bookkeeping last).
    pub const ALL: [Self; 11] = [
        Self::Deposit,
        Self::Bonus,
        Self::Category,
        Self::Birthday,
        Self::Children,
        Self::Cards,
        Self::LastVisit,
        Self::Visits,
        Self::History,
        Self::Updated,
        Self::ClientId,
    ];

    /// The code under which the field is found whatever it is called: `LIME_CLIENT_ID`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ClientId => "LIME_CLIENT_ID",
            Self::Category => "LIME_CATEGORY",
            Self::Cards => "LIME_CARD",
            Self::Birthday => "LIME_BIRTHDAY",
            Self::Children => "LIME_CHILDREN",
            Self::History => "LIME_HISTORY",
            Self::LastVisit => "LIME_LAST_VISIT",
            Self::Visits => "LIME_VISITS",
            Self::Deposit => "LIME_DEPOSIT",
            Self::Bonus => "LIME_BONUS",
            Self::Updated => "LIME_UPDATED",
        }
    }
}

/// A value on the card. Each CRM spells it in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardValue {
    /// One line.
    Text(Personal),
    /// Several lines.
    Lines(Personal),
    /// A count.
    Number(i64),
    /// Money in minor units.
    Minor(i64),
    /// An instant, milliseconds since 1970 UTC.
    At(i64),
    /// A day, `YYYY-MM-DD`.
    Day(Personal),
}

/// Who the client is and how they are reached: fields that the CRM has of its own and that people edit there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// First name, with the patronymic where there is one.
    pub first_name: Personal,
    /// Family name.
    pub last_name: Personal,
    /// Phones.
    pub phones: Vec<Phone>,
    /// E-mail addresses.
    pub emails: Vec<Personal>,
}

/// What a contact's card shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Who: changes rarely, and shares its fields with people's edits.
    pub person: Person,
    /// What Lime knows of them: changes rarely.
    pub about: Vec<(CardField, CardValue)>,
    /// What every pass changes: history, visits, balances.
    pub running: Vec<(CardField, CardValue)>,
    /// What the ledger is to keep once this card is written.
    pub written: Written,
}

/// What the box keeps of a card that it wrote: hashes, the ids of the passes on it, and a count. Nothing personal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Hash of [`Card::person`].
    #[serde(rename = "p")]
    pub person: String,
    /// Hash of [`Card::about`] and the person: a birth date alone could be guessed from its hash.
    #[serde(rename = "a")]
    pub about: String,
    /// Hash of [`Card::running`].
    #[serde(rename = "r")]
    pub running: String,
    /// Passes that the card already counts, newest last.
    #[serde(rename = "s")]
    pub seen: Vec<Uuid>,
    /// Passes counted so far.
    #[serde(rename = "v")]
    pub visits: i64,
}

impl Written {
    /// Reads a ledger value; `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The ledger value, below 1 KiB.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The card already shows this pass, because Lime listed it when the card was last written: neither Lime nor the CRM need be asked for it again.
    #[must_use]
    pub fn covers(&self, write_off: &WriteOff) -> bool {
        self.seen.contains(&write_off.pass_id)
    }
}

/// What a card is made from.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The client, as Lime answers. To be read after `transactions`, so that the balance is not older than the history.
    pub client: &'a Client,
    /// Their last transactions, in any order.
    pub transactions: &'a [Transaction],
    /// The write-offs that are on their way into the CRM now: shown even where Lime's list does not have them yet.
    pub write_offs: &'a [&'a WriteOff],
    /// What was written last time, or was found in the CRM.
    pub before: Option<&'a Written>,
}

/// The card.
#[must_use]
pub fn card(known: Known<'_>, texts: &Texts) -> Card {
    let client = known.client;
    let person = person(client);

    let mut about = vec![(CardField::ClientId, CardValue::Text(Personal::new(client.id.as_str())))];
    if let Some(category) = &client.category {
        about.push((CardField::Category, CardValue::Text(Personal::new(category.name.as_str()))));
    }
    if let Some(born) = client.birth_date.as_ref().filter(|born| is_a_birthday(born.reveal())) {
        about.push((CardField::Birthday, CardValue::Day(born.clone())));
    }
    let cards: Vec<String> = client.cards.iter().filter(|card| card.active).map(|card| card.uid.masked(MASK)).collect();
    if !cards.is_empty() {
        about.push((CardField::Cards, CardValue::Text(Personal::new(cards.join(", ")))));
    }
    let children = children(client, texts);
    if !children.is_empty() {
        about.push((CardField::Children, CardValue::Lines(Personal::new(children.join("\n")))));
    }

    let operations = operations(&known);
    let (seen, visits) = count(&operations, known.before);
    let mut running = Vec::new();
    if let Some(deposit) = &client.balances.deposit {
        running.push((CardField::Deposit, CardValue::Minor(deposit.minor)));
    }
    if let Some(bonus) = client.balances.bonus {
        running.push((CardField::Bonus, CardValue::Number(bonus)));
    }
    let visited = operations.iter().filter(|operation| operation.kind == WRITE_OFF).map(|operation| operation.occurred_ms).max();
    if let Some(at) = visited {
        running.push((CardField::LastVisit, CardValue::At(at)));
    }
    running.push((CardField::Visits, CardValue::Number(visits)));
    if !operations.is_empty() {
        running.push((CardField::History, CardValue::Lines(Personal::new(history(&operations, texts)))));
    }

    let who = mark_person(&person);
    let written = Written { about: digest(&[&who, &mark(&about)]), running: mark(&running), person: who, seen, visits };
    Card { person, about, running, written }
}

fn person(client: &Client) -> Person {
    Person {
        first_name: joined(&[&client.first_name, &client.middle_name]),
        last_name: client.last_name.clone(),
        phones: client.phones.clone(),
        emails: client.emails.iter().filter(|email| !email.is_empty()).cloned().collect(),
    }
}

/// The hash of who a client is, as [`Written::person`] keeps it: tells whether the contact has to be read before it is written.
#[must_use]
pub fn person_hash(client: &Client) -> String {
    mark_person(&person(client))
}

/// Lime's type of a write-off among the transactions.
const WRITE_OFF: &str = "write_off";

/// Lime's list and the write-offs that it does not have yet, newest first, without doubles.
fn operations(known: &Known<'_>) -> Vec<Transaction> {
    let mut all = known.transactions.to_vec();
    for write_off in known.write_offs {
        let charged = matches!(write_off.status, WriteOffStatus::Applied | WriteOffStatus::AppliedWithDebt);
        let listed = all.iter().any(|one| one.write_off_id == Some(write_off.pass_id) || write_off.transaction_id.as_ref() == Some(&one.id));
        if charged && !listed {
            all.push(as_transaction(write_off));
        }
    }
    all.sort_by(|a, b| b.occurred_ms.cmp(&a.occurred_ms).then_with(|| b.id.cmp(&a.id)));
    all
}

fn as_transaction(write_off: &WriteOff) -> Transaction {
    let charge = write_off.charge.as_ref();
    let title = charge.and_then(|charge| charge.title.clone());
    Transaction {
        id: write_off.transaction_id.clone().unwrap_or_else(|| write_off.pass_id.to_string()),
        kind: WRITE_OFF.to_owned(),
        occurred_ms: write_off.occurred.at_ms,
        service_point: Some(write_off.service_point.clone()),
        write_off_id: Some(write_off.pass_id),
        lines: title
            .map(|name| crate::domain::TransactionLine { name, quantity: charge.map_or(1, |charge| charge.quantity), amount: 0 })
            .into_iter()
            .collect(),
        total: charge.and_then(|charge| charge.money.clone()),
    }
}

/// The passes on the card and how many there were in all. A pass counts once, whether it came in a batch or was first seen in Lime's list.
fn count(operations: &[Transaction], before: Option<&Written>) -> (Vec<Uuid>, i64) {
    let mut seen = before.map(|before| before.seen.clone()).unwrap_or_default();
    let mut visits = before.map_or(0, |before| before.visits);
    for id in operations.iter().rev().filter_map(|operation| operation.write_off_id) {
        if !seen.contains(&id) {
            seen.push(id);
            visits = visits.saturating_add(1);
        }
    }
    let most = SEEN.max(operations.len());
    seen.drain(..seen.len().saturating_sub(most));
    (seen, visits)
}

/// At most ten lines and 3 900 characters; a line that is too long is cut, not its neighbours.
fn history(operations: &[Transaction], texts: &Texts) -> String {
    let lines: Vec<String> =
        operations.iter().take(HISTORY_LINES).map(|operation| cut(&texts.history_line(operation), HISTORY_CHARS / HISTORY_LINES - 1)).collect();
    lines.join("\n")
}

/// `Имя — ДД.ММ.ГГГГ (сын)`
fn children(client: &Client, texts: &Texts) -> Vec<String> {
    let mut children: Vec<_> = client.relations.iter().filter(|relation| relation.role == RelationRole::Child).collect();
    children.sort_by(|a, b| a.birth_date.cmp(&b.birth_date).then_with(|| a.client_id.cmp(&b.client_id)));
    children
        .iter()
        .map(|child| {
            let mut line = child.first_name.reveal().to_owned();
            if let Some(born) = child.birth_date.as_ref().filter(|born| is_a_birthday(born.reveal())) {
                line.push_str(" — ");
                line.push_str(&texts.day(born.reveal()));
            }
            if !child.relation.is_empty() {
                line.push_str(&format!(" ({})", child.relation));
            }
            line
        })
        .collect()
}

/// A CRM stores 01.01.1970 when a birthday is left unset: it means "unknown".
fn is_a_birthday(iso: &str) -> bool {
    iso != "1970-01-01" && iso.parse::<jiff::civil::Date>().is_ok()
}

fn joined(parts: &[&Personal]) -> Personal {
    let parts: Vec<&str> = parts.iter().map(|part| part.reveal().trim()).filter(|part| !part.is_empty()).collect();
    Personal::new(parts.join(" "))
}

fn mark_person(person: &Person) -> String {
    let phones: Vec<String> = person.phones.iter().map(Phone::e164).collect();
    let emails: Vec<&str> = person.emails.iter().map(Personal::reveal).collect();
    digest(&[person.first_name.reveal(), person.last_name.reveal(), &phones.join("\u{1e}"), &emails.join("\u{1e}")])
}

fn mark(values: &[(CardField, CardValue)]) -> String {
    let told: Vec<String> = values
        .iter()
        .map(|(field, value)| {
            let value = match value {
                CardValue::Text(text) | CardValue::Lines(text) | CardValue::Day(text) => text.reveal().to_owned(),
                CardValue::Number(number) | CardValue::Minor(number) | CardValue::At(number) => number.to_string(),
            };
            format!("{}={value}", field.code())
        })
        .collect();
    let told: Vec<&str> = told.iter().map(String::as_str).collect();
    digest(&told)
}

/// Half of a SHA-1 name: enough to see a change, too little to hold anything.
fn digest(parts: &[&str]) -> String {
    let whole = Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes()).simple().to_string();
    whole.chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::config::Language;
    use crate::domain::{
        Balances, Card as ClientCard, Category, CategoryKind, Charge, Direction, Moment, Money, Relation, ServicePointId, TransactionLine,
    };

    fn texts() -> Texts {
        Texts::new(Language::Ru, TimeZone::get("Asia/Yekaterinburg").unwrap())
    }

    fn client() -> Client {
        let child = |id: &str, name: &str, born: &str, relation: &str, role| Relation {
            client_id: id.into(),
            relation: relation.to_owned(),
            role,
            first_name: Personal::new(name),
            birth_date: Some(Personal::new(born)),
        };
        Client {
            id: "c-77".into(),
            version: 4,
            category: Some(Category { id: "1".into(), name: "Взрослый".into(), kind: CategoryKind::Adult }),
            last_name: Personal::new("Канарейкина"),
            first_name: Personal::new("Анна"),
            middle_name: Personal::new("Петровна"),
            birth_date: Some(Personal::new("1990-02-03")),
            phones: vec![Phone::parse("89991234567").unwrap()],
            emails: vec![Personal::new("anna@example.com"), Personal::new("")],
            cards: vec![
                ClientCard { id: "1".into(), uid: Personal::new("AC11A1A3"), active: true },
                ClientCard { id: "2".into(), uid: Personal::new("DEADBEEF"), active: false },
            ],
            balances: Balances { deposit: Some(Money { minor: 125_050, currency: "RUB".into() }), bonus: Some(40) },
            relations: vec![
                child("c-79", "Пётр", "2018-07-09", "сын", RelationRole::Child),
                child("c-78", "Мария", "2015-01-02", "дочь", RelationRole::Child),
                child("c-80", "Олег", "1988-01-02", "муж", RelationRole::Other),
            ],
        }
    }

    /// 14:32 on 22.11.2026 in Yekaterinburg, and so many minutes later.
    fn at(minutes: i64) -> i64 {
        1_795_339_920_000 + minutes * 60_000
    }

    fn transaction(number: u32, minutes: i64) -> Transaction {
        Transaction {
            id: format!("t{number:03}"),
            kind: "write_off".to_owned(),
            occurred_ms: at(minutes),
            service_point: Some(ServicePointId::from("sp-4")),
            write_off_id: Some(Uuid::from_u128(number.into())),
            lines: vec![TransactionLine { name: "Батуты 1 час".into(), quantity: 1, amount: 50_000 }],
            total: Some(Money { minor: -50_000, currency: "RUB".into() }),
        }
    }

    fn write_off(number: u128, minutes: i64) -> WriteOff {
        WriteOff {
            pass_id: Uuid::from_u128(number),
            pass_seq: 1,
            status: WriteOffStatus::Applied,
            code: "ok".into(),
            transaction_id: None,
            client_id: Some("c-77".into()),
            right: None,
            charge: Some(Charge { quantity: 1, money: None, title: Some("Батуты 1 час".into()) }),
            conflict_with: None,
            gate: "n1".into(),
            service_point: "sp-4".into(),
            service_point_title: None,
            direction: Direction::In,
            medium_masked: "••A1A3".into(),
            occurred: Moment::exact(at(minutes)),
            received_ms: None,
            test: false,
        }
    }

    fn text(card: &Card, field: CardField) -> String {
        match card.about.iter().chain(&card.running).find(|(has, _)| *has == field) {
            Some((_, CardValue::Text(text) | CardValue::Lines(text) | CardValue::Day(text))) => text.reveal().to_owned(),
            Some((_, CardValue::Number(number) | CardValue::Minor(number) | CardValue::At(number))) => number.to_string(),
            None => "-".to_owned(),
        }
    }

    #[test]
    fn a_card_shows_what_lime_knows_with_cards_masked() {
        let card = card(Known { client: &client(), transactions: &[transaction(1, 0)], write_offs: &[], before: None }, &texts());
        assert_eq!(card.person.first_name.reveal(), "Анна Петровна");
        assert_eq!(text(&card, CardField::Children), "Мария — 02.01.2015 (дочь)\nПётр — 09.07.2018 (сын)");
        assert_eq!(text(&card, CardField::Cards), "••A1A3");
        assert_eq!(text(&card, CardField::Deposit), "125050");
        assert_eq!(text(&card, CardField::LastVisit), at(0).to_string());
        assert_eq!(text(&card, CardField::History), "22.11.2026 14:32 · Списание · Батуты 1 час · −500,00\u{a0}₽ · sp-4");
        assert_eq!(card.person.emails.len(), 1);
    }

    #[test]
    fn the_history_has_the_ten_newest_first_and_the_pass_that_lime_does_not_list_yet() {
        let listed: Vec<Transaction> = (1..=10).map(|n| transaction(n, i64::from(n))).collect();
        let new = write_off(99, 30);
        let doubled = write_off(10, 10);
        let card = card(Known { client: &client(), transactions: &listed, write_offs: &[&new, &doubled], before: None }, &texts());
        let history = text(&card, CardField::History);
        let times: Vec<&str> = history.lines().map(|line| line.split(" · ").next().unwrap()).collect();
        assert_eq!(times.len(), HISTORY_LINES);
        assert_eq!((times[0], times[1], times[9]), ("22.11.2026 15:02", "22.11.2026 14:42", "22.11.2026 14:34"));
        assert_eq!(text(&card, CardField::LastVisit), at(30).to_string());
    }

    #[test]
    fn a_long_history_stays_below_the_limit_and_whole_in_its_characters() {
        let mut long = transaction(1, 0);
        long.lines = (0..100).map(|n| TransactionLine { name: format!("🎉 Праздник {n}"), quantity: 2, amount: 1 }).collect();
        let listed: Vec<Transaction> = (0..10).map(|_| long.clone()).collect();
        let card = card(Known { client: &client(), transactions: &listed, write_offs: &[], before: None }, &texts());
        let history = text(&card, CardField::History);
        assert!(history.chars().count() <= HISTORY_CHARS, "{}", history.chars().count());
        assert_eq!(history.lines().count(), 10);
    }

    #[test]
    fn a_pass_counts_once_however_often_it_is_seen() {
        let first = write_off(1, 0);
        let listed = [transaction(1, 0), transaction(2, 5)];
        let known = |before| Known { client: &CLIENT, transactions: &listed, write_offs: &[], before };
        static CLIENT: std::sync::LazyLock<Client> = std::sync::LazyLock::new(client);
        let one = card(Known { write_offs: &[&first], ..known(None) }, &texts());
        assert_eq!(one.written.visits, 2);
        assert!(one.written.covers(&write_off(2, 5)), "a pass that Lime listed needs no second update");
        let two = card(known(Some(&one.written)), &texts());
        assert_eq!(two.written, one.written, "the same card has the same marks");
        let third = write_off(3, 9);
        assert!(!one.written.covers(&third));
        let three = card(Known { write_offs: &[&third], ..known(Some(&one.written)) }, &texts());
        assert_eq!((three.written.visits, three.written.person == one.written.person), (3, true));
        assert_ne!(three.written.running, one.written.running);
    }

    #[test]
    fn what_is_kept_of_a_card_is_small_and_tells_nobody_who_it_is() {
        let listed: Vec<Transaction> = (1..=10).map(|n| transaction(n, i64::from(n))).collect();
        let before = Written { seen: (100..140).map(Uuid::from_u128).collect(), ..Written::default() };
        let card = card(Known { client: &client(), transactions: &listed, write_offs: &[], before: Some(&before) }, &texts());
        let kept = card.written.to_text();
        assert!(kept.len() < 1_200, "{} bytes", kept.len());
        assert_eq!(Written::parse(&kept), Some(card.written.clone()));
        for canary in ["Анна", "Канарейкина", "9991234567", "anna@", "AC11A1A3", "1990", "Пётр"] {
            assert!(!kept.contains(canary) && !format!("{card:?}").contains(canary), "{canary}");
        }
    }

    #[test]
    fn a_birthday_that_was_left_unset_is_no_birthday() {
        let mut client = client();
        client.birth_date = Some(Personal::new("1970-01-01"));
        let card = card(Known { client: &client, transactions: &[], write_offs: &[], before: None }, &texts());
        assert_eq!(text(&card, CardField::Birthday), "-");
        assert_eq!(text(&card, CardField::History), "-", "an empty history blanks nothing");
    }
}
