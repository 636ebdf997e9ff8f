//! The operating-time budget: a portal lets each method run for 480 seconds in ten minutes (420 on a box) and then refuses it.
//!
//! What each method has used stands in the `time` block of its answers. Above a margin the method is left alone until the portal gives some of it
//! back, so that the refusal, which would hit every software of the venue, is never met. Whether inner methods or `batch` itself are charged differs
//! between portals, so both are watched under their own names.
//!
//! Pure: the caller brings the time. The wall clock may step, so no pause is believed to be longer than the window.

use std::collections::BTreeMap;
use std::time::Duration;

use super::wire::Timing;

/// Seconds of run time in the window above which a method is left alone.
pub const MARGIN: f64 = 360.0;

/// The window in which the portal counts.
const WINDOW: Duration = Duration::from_secs(600);

/// A pause where the portal names no time: one piece of its accounting.
const PIECE: Duration = Duration::from_secs(60);

/// What is known of the budget of each method.
#[derive(Debug, Default)]
pub struct Operating {
    paused_until_ms: BTreeMap<&'static str, i64>,
}

impl Operating {
    /// Takes note of what an answer says.
    pub fn note(&mut self, method: &'static str, timing: Timing, now_ms: i64) {
        if timing.operating >= MARGIN {
            self.pause(method, timing.reset_in.unwrap_or(PIECE), now_ms);
        } else {
            self.paused_until_ms.remove(method);
        }
    }

    /// Leaves a method alone for a while.
    pub fn pause(&mut self, method: &'static str, length: Duration, now_ms: i64) {
        let length = i64::try_from(length.min(WINDOW).as_millis()).unwrap_or(i64::MAX);
        self.paused_until_ms.insert(method, now_ms.saturating_add(length));
    }

    /// How long the method has to rest yet; `None` when it may be called.
    #[must_use]
    pub fn rest(&self, method: &str, now_ms: i64) -> Option<Duration> {
        let left = self.paused_until_ms.get(method)?.saturating_sub(now_ms);
        let left = Duration::from_millis(u64::try_from(left).ok().filter(|left| *left > 0)?);
        // A pause longer than the window is a clock that stepped back.
        (left <= WINDOW).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(operating: f64, reset_secs: Option<u64>) -> Timing {
        Timing { operating, reset_in: reset_secs.map(Duration::from_secs) }
    }

    #[test]
    fn a_method_near_its_budget_rests_until_some_of_it_is_given_back() {
        let mut budget = Operating::default();
        budget.note("crm.item.add", used(359.9, Some(40)), 1_000_000);
        assert_eq!(budget.rest("crm.item.add", 1_000_000), None);
        budget.note("crm.item.add", used(360.0, Some(40)), 1_000_000);
        assert_eq!(budget.rest("crm.item.add", 1_010_000), Some(Duration::from_secs(30)));
        assert_eq!(budget.rest("crm.item.list", 1_010_000), None, "the others go on");
        assert_eq!(budget.rest("crm.item.add", 1_040_000), None);
    }

    #[test]
    fn without_a_named_time_it_rests_a_minute_and_a_better_figure_ends_the_rest() {
        let mut budget = Operating::default();
        budget.note("batch", used(470.0, None), 0);
        assert_eq!(budget.rest("batch", 0), Some(Duration::from_secs(60)));
        budget.note("batch", used(12.0, None), 5);
        assert_eq!(budget.rest("batch", 5), None);
    }

    #[test]
    fn a_clock_that_steps_back_cannot_stop_delivery() {
        let mut budget = Operating::default();
        budget.note("batch", used(400.0, Some(100_000)), 1_000_000_000);
        assert_eq!(budget.rest("batch", 1_000_000_000), Some(Duration::from_secs(600)));
        assert_eq!(budget.rest("batch", 0), None);
    }
}
