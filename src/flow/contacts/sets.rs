//! Phones and e-mail addresses: fields with any number of values, merged element by element.

use std::collections::BTreeMap;

use super::held::Held;
use super::link::{Changes, Joint, Known};
use super::marks::Marks;
use super::overruled::Overruled;
use super::{Merged, Question, other};
use crate::domain::Side;

/// Merges one field.
pub(super) fn merge(joint: &mut Joint, lime: &Held, crm: &Held, question: &Question<'_>, merged: &mut Merged) {
    let &Question { field, keyer, client, rules, .. } = question;
    let (at_lime, at_crm) = (keyer.marks(client, field, lime), keyer.marks(client, field, crm));
    let changed = [(Side::Lime, joint.lime.look(&at_lime, true)), (Side::Crm, joint.crm.look(&at_crm, true))];
    // Element by element: what stands on one of the two cards can be written on the other.
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    for value in lime.values().chain(crm.values()) {
        let one = Held::of(std::iter::once(value.reveal().to_owned()));
        texts.extend(keyer.marks(client, field, &one).iter().map(|mark| (mark, value.reveal().to_owned())));
    }
    let mut wanted = [(Side::Lime, Vec::new()), (Side::Crm, Vec::new())];
    let mut gave_way: Vec<(Side, bool, u64)> = Vec::new();
    for mark in texts.keys().copied() {
        let fate = fate(mark, &changed, question);
        for (side, elements) in &mut wanted {
            let (now, known) = if *side == Side::Lime { (&at_lime, &joint.lime) } else { (&at_crm, &joint.crm) };
            let stays = match fate {
                Fate::Unchanged => unchanged(mark, now, known),
                Fate::Decided { stands, .. } => stands,
            };
            if stays {
                elements.push(mark);
            }
        }
        if let Fate::Decided { loser: Some((side, taken_away)), .. } = fate
            && rules.writes(side)
        {
            gave_way.push((side, taken_away, mark));
        }
    }
    let held = |marks: &mut dyn Iterator<Item = u64>| Held::of(marks.filter_map(|mark| texts.get(&mark).cloned()));
    for (side, taken_away) in [(Side::Lime, false), (Side::Lime, true), (Side::Crm, false), (Side::Crm, true)] {
        let value = held(&mut gave_way.iter().filter(|(at, away, _)| (*at, *away) == (side, taken_away)).map(|(_, _, mark)| *mark));
        if !value.is_blank() {
            merged.overruled.push(Overruled { field, side, value, taken_away });
        }
    }
    for (side, elements) in wanted {
        let now = if side == Side::Lime { &at_lime } else { &at_crm };
        let wanted = Marks::of(elements.iter().copied());
        if wanted == *now || !rules.writes(side) {
            joint.side(side).owed = None;
        } else {
            merged.out(side).insert(field, held(&mut elements.into_iter()));
            joint.side(side).send(wanted);
        }
    }
}

/// What is to become of an element.
#[derive(Clone, Copy)]
enum Fate {
    /// Nobody touched it.
    Unchanged,
    /// Somebody did. The loser: on whose card somebody's edit gives way, and whether that edit was a taking away.
    Decided { stands: bool, loser: Option<(Side, bool)> },
}

fn fate(mark: u64, changed: &[(Side, Changes); 2], question: &Question<'_>) -> Fate {
    let where_it = |did: fn(&Changes) -> &Marks| changed.iter().find(|(_, changes)| did(changes).has(mark)).map(|(side, _)| *side);
    let clears = question.rules.clears(question.field);
    match (where_it(|changes| &changes.added), where_it(|changes| &changes.removed)) {
        (None, None) => Fate::Unchanged,
        (Some(_), None) => Fate::Decided { stands: true, loser: None },
        // Whoever takes away what is across, and across is never written: theirs is theirs.
        (None, Some(side)) if clears || !question.rules.writes(other(side)) => Fate::Decided { stands: false, loser: None },
        (None, Some(side)) => Fate::Decided { stands: true, loser: Some((side, true)) },
        (Some(_), Some(side)) if question.winner == side && clears => Fate::Decided { stands: false, loser: Some((other(side), false)) },
        (Some(_), Some(side)) => Fate::Decided { stands: true, loser: Some((side, true)) },
    }
}

/// An element that nobody touched: as the side is owed, else as it is.
fn unchanged(mark: u64, now: &Marks, known: &Known) -> bool {
    known.owed.as_ref().unwrap_or(now).has(mark)
}
