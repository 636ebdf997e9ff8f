//! The decision from the snapshot, less what has been used since.
//!
//! In this order: an exit is free; what Lime forbids without itself; the medium's standing; its category; the service point's hours; then its entitlements, in
//! the order in which Lime uses them up. The first that covers the pass is taken, a deposit's debt only where nothing else does. Where none does, the code is
//! that of the entitlement that came furthest: place, validity, hours, daily limit, what is left.
//!
//! Where the clock cannot be trusted, an entitlement that needs it is not judged. A clock that may be off by a little is read in the guest's favour. Pure.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::{Direction, RightKind, Stamp, Sync};

use super::hours::Hours;
use super::media::Hash;
use super::terms::{Entitlement, Holder, Standing, Terms};
use super::uses::{Use, Uses};

/// The time of day, as well as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wall {
    /// Milliseconds since 1970 UTC.
    pub now_ms: i64,
    /// How far it may be off, milliseconds.
    pub error_ms: i64,
}

/// A clock that may be off by more than this does not tell validity or age: a quarter of an hour.
const MOST_ERROR_MS: u64 = 15 * 60_000;

impl Wall {
    /// Where the clock is known well enough to judge by.
    #[must_use]
    pub fn within(now_ms: i64, error_ms: Option<u64>) -> Option<Self> {
        let error = error_ms.filter(|error| *error <= MOST_ERROR_MS)?;
        Some(Self { now_ms, error_ms: i64::try_from(error).ok()? })
    }

    /// What a clock said at this instant, that is off by at most so much where it is synchronised.
    #[must_use]
    pub fn at(stamp: &Stamp, error_ms: u32) -> Option<Self> {
        Self::within(stamp.wall_ms, (stamp.sync == Sync::Synced).then_some(error_ms.into()))
    }
}

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The snapshot's header.
    pub terms: &'a Terms,
    /// The medium as the snapshot has it.
    pub holder: &'a Holder,
    /// Its hash.
    pub medium: Hash,
    /// Where.
    pub service_point: &'a str,
    /// Which way.
    pub direction: Direction,
    /// When; none: the clock cannot be trusted.
    pub wall: Option<Wall>,
    /// Boot time, milliseconds.
    pub boot_ms: u64,
    /// The venue's zone.
    pub zone: &'a TimeZone,
    /// How far a deposit may go below zero here, where Lime does not say: minor units.
    pub max_offline_debt: i64,
}

/// What is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The guest may go.
    Admitted {
        /// On this entitlement; an exit needs none.
        right: Option<String>,
        /// What a deposit pays, minor units.
        amount: Option<i64>,
    },
    /// The guest may not, as the Lime gateway API v1 names it.
    Refused(&'static str),
    /// It depends on the time of day, and that is not known.
    NeedsClock,
}

/// How far an entitlement came: what the guest is told is the furthest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Short {
    NoTicket,
    WrongServicePoint,
    OfflineNotAllowed,
    NotYetValid,
    Expired,
    OutsideHours,
    LimitReached,
    AlreadyUsed,
    InsufficientDeposit,
}

impl Short {
    fn code(self) -> &'static str {
        match self {
            Self::NoTicket => "no_ticket",
            Self::WrongServicePoint => "wrong_service_point",
            Self::OfflineNotAllowed => "offline_not_allowed",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::OutsideHours => "outside_hours",
            Self::LimitReached => "limit_reached",
            Self::AlreadyUsed => "already_used",
            Self::InsufficientDeposit => "insufficient_deposit",
        }
    }
}

enum Fit {
    /// It covers the pass.
    Covers(Option<i64>),
    /// It does, with a debt.
    WithDebt(i64),
    Falls(Short),
    NeedsClock,
}

/// Decides. `hashed` names an entitlement as [`Uses`] does.
#[must_use]
pub fn decide(case: Case<'_>, uses: &Uses, hashed: &dyn Fn(&str) -> Hash) -> Verdict {
    if case.direction == Direction::Out {
        return Verdict::Admitted { right: None, amount: None };
    }
    if let Some(code) = barred(case) {
        return Verdict::Refused(code);
    }
    match case.terms.tariffs.get(case.service_point).and_then(|tariff| tariff.hours.as_deref()).map(|hours| within(case, hours)) {
        Some(None) => return Verdict::NeedsClock,
        Some(Some(false)) => return Verdict::Refused("outside_hours"),
        Some(Some(true)) | None => {}
    }
    let left = left(case, uses, hashed);
    let mut furthest = Short::NoTicket;
    let (mut needs_clock, mut debt) = (false, None);
    for (right, left) in case.holder.rights.iter().zip(left) {
        match fit(case, right, left, uses, hashed) {
            Fit::Covers(amount) => return Verdict::Admitted { right: Some(right.id.clone()), amount },
            Fit::WithDebt(amount) => debt = debt.or(Some((right, amount))),
            Fit::Falls(short) => furthest = furthest.max(short),
            Fit::NeedsClock => needs_clock = true,
        }
    }
    match debt {
        // Another one may cover it without a debt, and the clock would tell: the guest is not sent away for that, the debt is flagged anyway.
        Some((right, amount)) => Verdict::Admitted { right: Some(right.id.clone()), amount: Some(amount) },
        None if needs_clock => Verdict::NeedsClock,
        None => Verdict::Refused(furthest.code()),
    }
}

fn barred(case: Case<'_>) -> Option<&'static str> {
    if case.terms.policy(case.service_point).deny {
        return Some("offline_not_allowed");
    }
    match case.holder.standing {
        Standing::Good => {}
        Standing::BlockedCard => return Some("blocked_card"),
        Standing::BlockedClient => return Some("blocked_client"),
        Standing::Suspended => return Some("client_suspended"),
    }
    let tariff = case.terms.tariffs.get(case.service_point)?;
    let category = case.holder.category.as_ref()?;
    (!tariff.categories.is_empty() && !tariff.categories.contains(category)).then_some("wrong_category")
}

/// What is left of each entitlement. None: it is not counted.
fn left(case: Case<'_>, uses: &Uses, hashed: &dyn Fn(&str) -> Hash) -> Vec<Option<i64>> {
    let rights = &case.holder.rights;
    let taken = |right: &Entitlement| uses.of_right(hashed(&right.id)).map(|used| cost_of(case, right, used)).fold(0_i64, i64::saturating_add);
    let mut left: Vec<Option<i64>> = rights.iter().map(|right| Some(right.amount?.saturating_sub(taken(right)))).collect();
    // Let in without knowing an entitlement: Lime will take the first that covers it, and so do we.
    for used in uses.of_medium(case.medium) {
        let covering = rights.iter().zip(&mut left).find(|(right, left)| {
            let cost = cost_of(case, right, used);
            counts(right) && valid_at(right, &used.service_point) && left.is_none_or(|left| left >= cost)
        });
        if let Some((right, Some(left))) = covering {
            *left = left.saturating_sub(cost_of(case, right, used));
        }
    }
    left
}

fn counts(right: &Entitlement) -> bool {
    matches!(right.kind, RightKind::Ticket | RightKind::Deposit | RightKind::Pass)
}

fn valid_at(right: &Entitlement, service_point: &str) -> bool {
    right.service_points.is_empty() || right.service_points.iter().any(|point| point == service_point)
}

fn cost_of(case: Case<'_>, right: &Entitlement, used: &Use) -> i64 {
    match right.kind {
        RightKind::Deposit => used.amount.or_else(|| case.terms.price(&used.service_point, case.holder.category.as_deref())).unwrap_or(0),
        _ => 1,
    }
}

fn fit(case: Case<'_>, right: &Entitlement, left: Option<i64>, uses: &Uses, hashed: &dyn Fn(&str) -> Hash) -> Fit {
    if !valid_at(right, case.service_point) {
        return Fit::Falls(Short::WrongServicePoint);
    }
    if right.unclear || !counts(right) {
        return Fit::Falls(Short::OfflineNotAllowed);
    }
    let timed = right.from_ms.is_some() || right.to_ms.is_some() || right.hours.is_some() || right.daily_limit.is_some();
    if timed {
        let Some(wall) = case.wall else { return Fit::NeedsClock };
        if right.from_ms.is_some_and(|from| wall.now_ms.saturating_add(wall.error_ms) < from) {
            return Fit::Falls(Short::NotYetValid);
        }
        if right.to_ms.is_some_and(|to| wall.now_ms.saturating_sub(wall.error_ms) >= to) {
            return Fit::Falls(Short::Expired);
        }
        if right.hours.as_deref().is_some_and(|hours| within(case, hours) == Some(false)) {
            return Fit::Falls(Short::OutsideHours);
        }
        if right.daily_limit.is_some_and(|limit| used_today(case, right, wall, uses, hashed) >= u64::from(limit)) {
            return Fit::Falls(Short::LimitReached);
        }
    }
    match (right.kind, left) {
        (RightKind::Deposit, Some(left)) => {
            let Some(price) = case.terms.price(case.service_point, case.holder.category.as_deref()) else {
                return Fit::Falls(Short::OfflineNotAllowed);
            };
            if left >= price {
                Fit::Covers(Some(price))
            } else if left.saturating_sub(price)
                >= case.terms.policy(case.service_point).max_offline_debt.unwrap_or(case.max_offline_debt).saturating_neg()
            {
                Fit::WithDebt(price)
            } else {
                Fit::Falls(Short::InsufficientDeposit)
            }
        }
        (_, Some(left)) if left >= 1 => Fit::Covers(None),
        (_, Some(_)) => Fit::Falls(Short::AlreadyUsed),
        // A subscription without a count; anything else has to be counted.
        (RightKind::Pass, None) => Fit::Covers(None),
        (_, None) => Fit::Falls(Short::OfflineNotAllowed),
    }
}

/// Whether now lies in these hours; none: the clock does not tell. What cannot be read contains nothing.
fn within(case: Case<'_>, hours: &str) -> Option<bool> {
    let wall = case.wall?;
    let Some(hours) = Hours::parse(hours) else { return Some(false) };
    let at = |ms: i64| jiff::Timestamp::from_millisecond(ms).ok().map(|at| case.zone.to_datetime(at));
    let around = [wall.now_ms, wall.now_ms.saturating_sub(wall.error_ms), wall.now_ms.saturating_add(wall.error_ms)];
    Some(around.into_iter().filter_map(at).any(|at| hours.contain(at)))
}

fn used_today(case: Case<'_>, right: &Entitlement, wall: Wall, uses: &Uses, hashed: &dyn Fn(&str) -> Hash) -> u64 {
    let Some(today) = date(case.zone, wall.now_ms) else { return u64::MAX };
    let is_today = |used: &&Use| {
        let ago = i64::try_from(case.boot_ms.saturating_sub(used.boot_ms)).unwrap_or(i64::MAX);
        date(case.zone, used.wall_ms.unwrap_or_else(|| wall.now_ms.saturating_sub(ago))) == Some(today)
    };
    let hash = hashed(&right.id);
    let counted = match &right.day {
        Some((day, used)) => {
            let known = if day.parse::<Date>().ok() == Some(today) { u64::from(*used) } else { 0 };
            (known, uses.of_right(hash).filter(is_today).count())
        }
        None => (0, uses.of_right_with_covered(hash).filter(is_today).count()),
    };
    counted.0.saturating_add(u64::try_from(counted.1).unwrap_or(u64::MAX))
}

fn date(zone: &TimeZone, ms: i64) -> Option<Date> {
    jiff::Timestamp::from_millisecond(ms).ok().map(|at| zone.to_datetime(at).date())
}
