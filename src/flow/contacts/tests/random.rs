//! Two cards that people edit at random while answers are lost before and after the commit, writes come late, and the box restarts and forgets what was
//! not durable.

use super::*;

/// A card that people edit and that we write to.
#[derive(Default)]
struct Desk {
    card: Card,
    changed_ms: i64,
    /// Lime's version; a CRM has none that it would check.
    version: u64,
    /// Writes on their way, each with the version it was made for.
    late: Vec<(u64, Card)>,
}

impl Desk {
    fn write(&mut self, at: i64, values: &Card) {
        self.card.extend(values.clone());
        self.changed_ms = at;
        self.version += 1;
    }

    fn read(&self) -> Read {
        Read { card: self.card.clone(), changed_ms: self.changed_ms }
    }

    fn held(&self, field: ContactField) -> Held {
        self.card.get(&field).cloned().unwrap_or_default()
    }
}

/// What somebody did and no merge has seen yet: of a set, one element of it.
#[derive(Clone, Debug, PartialEq)]
struct Edit {
    side: Side,
    field: ContactField,
    value: Held,
    taken_away: bool,
}

/// Everything of one run.
struct World {
    random: fastrand::Rng,
    now: i64,
    lime: Desk,
    crm: Desk,
    link: Link,
    durable: Link,
    rules: Rules,
    unseen: Vec<Edit>,
    number: u64,
}

fn is_set(field: ContactField) -> bool {
    matches!(field, ContactField::Phones | ContactField::Emails)
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let wins = [Wins::Lime, Wins::Crm, Wins::Newest];
        let rules =
            Rules { wins: ContactField::ALL.map(|field| (field, wins[random.usize(..3)])).into(), clears: random.bool(), ..rules(Wins::Newest) };
        let link = Link::new("7001");
        Self { random, now: 0, lime: Desk::default(), crm: Desk::default(), durable: link.clone(), link, rules, unseen: Vec::new(), number: 0 }
    }

    fn desk(&mut self, side: Side) -> &mut Desk {
        match side {
            Side::Lime => &mut self.lime,
            Side::Crm => &mut self.crm,
        }
    }

    fn edit(&mut self) {
        let side = if self.random.bool() { Side::Lime } else { Side::Crm };
        let field = ContactField::ALL[self.random.usize(..ContactField::ALL.len())];
        self.number += 1;
        let had = self.desk(side).held(field);
        let edit = |value: Held, taken_away: bool| Edit { side, field, value, taken_away };
        let (now, edit) = if is_set(field) {
            let mut elements: Vec<String> = had.values().map(|value| value.reveal().to_owned()).collect();
            if !elements.is_empty() && self.random.u8(..3) == 0 {
                let gone = elements.remove(self.random.usize(..elements.len()));
                (Held::of(elements.into_iter()), edit(Held::of(std::iter::once(gone)), true))
            } else {
                // Some are entered on both sides.
                let new = format!("v{}", if self.random.bool() { self.number } else { self.random.u64(..self.number) });
                if elements.contains(&new) {
                    return;
                }
                elements.push(new.clone());
                (Held::of(elements.into_iter()), edit(Held::of(std::iter::once(new)), false))
            }
        } else if self.random.u8(..6) == 0 {
            (Held::default(), edit(Held::default(), true))
        } else {
            let value = Held::text(&format!("v{}", self.number));
            (value.clone(), edit(value, false))
        };
        if now == had {
            return;
        }
        let at = self.now;
        self.desk(side).write(at, &Card::from([(field, now)]));
        // Who edits again has changed their mind.
        self.unseen.retain(|other| (other.side, other.field) != (side, field) || (is_set(field) && other.value != edit.value));
        self.unseen.push(edit);
    }

    /// One synchronisation. With `calm` nothing goes wrong. True when there was something to write.
    fn round(&mut self, calm: bool) -> bool {
        let mut next = self.link.clone();
        let merged = go(&mut next, &self.lime.read(), &self.crm.read(), &self.rules);
        if !calm && self.random.u8(..10) == 0 {
            // Killed before anything was durable: as if it had not been.
            self.link = self.durable.clone();
            return true;
        }
        self.nothing_grows(&merged);
        self.nothing_is_lost(&merged);
        self.durable = next.clone();
        self.link = next;
        for (side, values) in [(Side::Lime, &merged.to_lime), (Side::Crm, &merged.to_crm)] {
            if !values.is_empty() {
                self.send(side, values, calm);
            }
        }
        !merged.to_lime.is_empty() || !merged.to_crm.is_empty()
    }

    /// Nothing is written that neither card holds.
    fn nothing_grows(&self, merged: &Merged) {
        for (field, value) in merged.to_lime.iter().chain(&merged.to_crm) {
            let (lime, crm) = (self.lime.held(*field), self.crm.held(*field));
            assert!(value.values().all(|value| lime.values().chain(crm.values()).any(|held| held == value)), "{field:?}: more than the union");
        }
    }

    /// Each edit that a merge sees for the first time is on both cards after it, or recorded.
    fn nothing_is_lost(&mut self, merged: &Merged) {
        for edit in std::mem::take(&mut self.unseen) {
            let Edit { side, field, value, taken_away } = &edit;
            let after = |at: Side| {
                let (written, now) = if at == Side::Lime { (&merged.to_lime, &self.lime) } else { (&merged.to_crm, &self.crm) };
                written.get(field).cloned().unwrap_or_else(|| now.held(*field))
            };
            let holds = |held: &Held| if is_set(*field) { value.values().all(|one| held.values().any(|own| own == one)) } else { held == value };
            let taken =
                [Side::Lime, Side::Crm].into_iter().all(|at| if is_set(*field) && *taken_away { !holds(&after(at)) } else { holds(&after(at)) });
            let recorded = merged.overruled.iter().any(|one| {
                (one.side, one.field, one.taken_away) == (*side, *field, *taken_away)
                    && (if is_set(*field) { holds(&one.value) } else { *taken_away || holds(&one.value) })
            });
            // Nobody can tell a value that a person enters from the same value that we are just writing there, nor a taking away from what an unsettled
            // write had found there.
            let marks = keyer().marks(&client(), *field, value);
            let sent = self.link.fields.get(field).into_iter().flat_map(|joint| if *side == Side::Lime { &joint.lime.sent } else { &joint.crm.sent });
            let ours = sent.into_iter().any(|sent| marks.iter().all(|mark| sent.has(mark)));
            // What was there at the last look and is there now was put back in between, if it was gone at all: nobody can see that.
            let known = self.link.fields.get(field).map(|joint| if *side == Side::Lime { &joint.lime } else { &joint.crm });
            let put_back = known.is_some_and(|known| marks.iter().all(|mark| known.seen.has(mark)));
            assert!(taken || recorded || *taken_away || ours || put_back, "an edit was lost without a record: {field:?} on {side:?}");
        }
    }

    fn send(&mut self, side: Side, values: &Card, calm: bool) {
        let now = self.now;
        // One write to a card at a time: while the fate of one is unknown the next waits.
        if !self.desk(side).late.is_empty() {
            return;
        }
        match if calm { 0 } else { self.random.u8(..8) } {
            0..=2 => {
                self.desk(side).write(now, values);
                self.link.arrived(&keyer(), &client(), side, values);
                // The box may die before that is durable.
                if calm || self.random.bool() {
                    self.durable = self.link.clone();
                }
            }
            3 => self.desk(side).write(now, values),
            4 => self.link.failed(&keyer(), &client(), side, values),
            5 => {}
            _ => {
                let version = self.desk(side).version;
                self.desk(side).late.push((version, values.clone()));
            }
        }
    }

    /// A late write is carried out: in Lime only on the version that it was made for.
    fn come_late(&mut self, side: Side) {
        let now = self.now;
        let desk = self.desk(side);
        let Some((version, values)) = desk.late.pop() else { return };
        if side == Side::Crm || version == desk.version {
            desk.write(now, &values);
            // A CRM asks for no version. What it overwrites stands in its own history, and nowhere else.
            self.unseen.retain(|edit| edit.side != side || !values.contains_key(&edit.field));
        }
    }

    fn step(&mut self) {
        self.now += i64::from(self.random.u8(..3));
        match self.random.u8(..10) {
            0..=3 => self.edit(),
            4..=7 => {
                self.round(false);
            }
            8 => {
                let side = if self.random.bool() { Side::Lime } else { Side::Crm };
                self.come_late(side);
            }
            _ => self.link = self.durable.clone(),
        }
    }
}

#[test]
fn whatever_people_edit_and_whatever_gets_lost_both_cards_end_alike_and_no_edit_is_lost_in_silence() {
    let first = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("first seed {first}");
    for seed in (0..300).map(|number| first.wrapping_add(number)) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        for _ in 0..80 {
            world.step();
        }
        for side in [Side::Lime, Side::Crm] {
            while !world.desk(side).late.is_empty() {
                world.come_late(side);
            }
        }
        let rounds = (0..6).take_while(|_| world.round(true)).count();
        assert!(rounds < 6, "seed {seed}: it goes on for ever");
        for field in ContactField::ALL {
            assert_eq!(world.lime.held(field), world.crm.held(field), "seed {seed}: {field:?}");
        }
    }
}
