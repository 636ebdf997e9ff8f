//! Names and dates: fields with one value.

use super::held::Held;
use super::link::Joint;
use super::marks::Marks;
use super::overruled::Overruled;
use super::{Merged, Question, other};
use crate::domain::Side;

/// Merges one field.
pub(super) fn merge(joint: &mut Joint, lime: &Held, crm: &Held, question: &Question<'_>, merged: &mut Merged) {
    let &Question { field, keyer, client, winner, rules } = question;
    let (at_lime, at_crm) = (keyer.marks(client, field, lime), keyer.marks(client, field, crm));
    let held = |side: Side| if side == Side::Lime { (lime, &at_lime) } else { (crm, &at_crm) };
    // They differed, and that was left in peace: whoever is written over now loses something of their own.
    let apart = joint.lime.seen != joint.crm.seen && joint.lime.owed.is_none() && joint.crm.owed.is_none();
    let (mut lime_new, mut crm_new) = (joint.lime.look(&at_lime, false).any, joint.crm.look(&at_crm, false).any);
    // Somebody changed a card that was owed what is across: they did not know of it, so both are new.
    lime_new |= crm_new && joint.crm.owed.as_ref() == Some(&at_lime);
    crm_new |= lime_new && joint.lime.owed.as_ref() == Some(&at_crm);

    // What is filled never gives way to what is empty, where both are new.
    let filled = if at_lime.is_blank() == at_crm.is_blank() {
        winner
    } else if at_crm.is_blank() {
        Side::Lime
    } else {
        Side::Crm
    };
    let clash = at_lime != at_crm;
    let (chosen, recorded) = match (lime_new, crm_new) {
        (true, true) => (Some(filled), clash),
        (true, false) => new_on(Side::Lime, &at_lime, &at_crm, question, apart),
        (false, true) => new_on(Side::Crm, &at_crm, &at_lime, question, apart),
        (false, false) => owed(joint, &at_lime, &at_crm, filled),
    };
    let Some(from) = chosen else { return };
    let to = other(from);
    let ((value, marks), (loser, lost)) = (held(from), held(to));
    if marks == lost {
        joint.side(to).owed = None;
    } else if rules.writes(to) {
        if recorded {
            let taken_away = loser.is_blank();
            let value = if taken_away { value.clone() } else { loser.clone() };
            merged.overruled.push(Overruled { field, side: to, value, taken_away });
        }
        merged.out(to).insert(field, value.clone());
        joint.side(to).send(marks.clone());
    } else {
        joint.side(to).owed = None;
    }
    joint.side(from).owed = None;
}

/// New on one side alone: whose value is taken, and whether what gives way is recorded.
fn new_on(side: Side, now: &Marks, across: &Marks, question: &Question<'_>, apart: bool) -> (Option<Side>, bool) {
    if now.is_blank() && !across.is_blank() && !question.rules.clears(question.field) {
        // Put back, where that side may be written; the person had taken it away.
        return (Some(other(side)), true);
    }
    (Some(side), apart && !across.is_blank())
}

/// Nobody changed anything: what one side is still owed. Its value is what the other side holds.
fn owed(joint: &Joint, at_lime: &Marks, at_crm: &Marks, winner: Side) -> (Option<Side>, bool) {
    let still = |owed: &Option<Marks>, now: &Marks| owed.as_ref().filter(|owed| *owed != now).cloned();
    match (still(&joint.lime.owed, at_lime), still(&joint.crm.owed, at_crm)) {
        (None, None) => (None, false),
        (Some(owed), _) if owed == *at_crm => (Some(Side::Crm), false),
        (_, Some(owed)) if owed == *at_lime => (Some(Side::Lime), false),
        // A late write took away what was owed on the side that had it: they meet anew.
        _ => (Some(winner), true),
    }
}
