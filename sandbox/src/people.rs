//! Invented people: names, phones, birth dates, drawn from a seed. No real person is meant.

use fastrand::Rng;

const MEN: [&str; 12] = ["Александр", "Дмитрий", "Сергей", "Андрей", "Алексей", "Михаил", "Иван", "Фёдор", "Роман", "Павел", "Артём", "Николай"];
const WOMEN: [&str; 12] = ["Анна", "Мария", "Елена", "Ольга", "Наталья", "Екатерина", "Татьяна", "Ирина", "Светлана", "Юлия", "Алёна", "Дарья"];
const FAMILIES: [&str; 16] = [
    "Иванов",
    "Петров",
    "Смирнов",
    "Кузнецов",
    "Попов",
    "Васильев",
    "Соколов",
    "Новиков",
    "Фёдоров",
    "Морозов",
    "Волков",
    "Алексеев",
    "Лебедев",
    "Семёнов",
    "Егоров",
    "Павлов",
];
const FATHERS: [(&str, &str); 8] = [
    ("Александрович", "Александровна"),
    ("Сергеевич", "Сергеевна"),
    ("Иванович", "Ивановна"),
    ("Петрович", "Петровна"),
    ("Андреевич", "Андреевна"),
    ("Дмитриевич", "Дмитриевна"),
    ("Николаевич", "Николаевна"),
    ("Алексеевич", "Алексеевна"),
];

/// An invented person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) last_name: String,
    pub(crate) first_name: String,
    pub(crate) middle_name: String,
    pub(crate) female: bool,
    /// `YYYY-MM-DD`.
    pub(crate) birth_date: String,
}

/// Someone born between the two years. `family` gives a child its parent's name.
pub(crate) fn person(random: &mut Rng, years: std::ops::Range<i32>, family: Option<&str>) -> Person {
    let female = random.bool();
    let first = if female { pick(random, &WOMEN) } else { pick(random, &MEN) };
    let (son, daughter) = FATHERS.get(random.usize(..FATHERS.len())).copied().unwrap_or(("Иванович", "Ивановна"));
    let root = family.map_or_else(|| pick(random, &FAMILIES).to_owned(), |name| name.strip_suffix('а').unwrap_or(name).to_owned());
    Person {
        last_name: if female { format!("{root}а") } else { root },
        first_name: first.to_owned(),
        middle_name: if female { daughter } else { son }.to_owned(),
        female,
        birth_date: format!("{:04}-{:02}-{:02}", random.i32(years), random.u8(1..=12), random.u8(1..=28)),
    }
}

/// A mobile number that is this client's alone: the number stands in it.
pub(crate) fn phone(number: usize) -> String {
    format!("+7999{:07}", number % 10_000_000)
}

fn pick<'a>(random: &mut Rng, list: &[&'a str]) -> &'a str {
    list.get(random.usize(..list.len())).copied().unwrap_or_default()
}
