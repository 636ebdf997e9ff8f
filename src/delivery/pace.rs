//! Keeps a remote's limit. Pure: time comes in as boot milliseconds.
//!
//! Two kinds of limits are in the field. A leaky bucket (Bitrix24: 2 a second, burst of 50) is met by a token bucket. "Seven requests a second" (amoCRM)
//! may be counted in any second, and a bucket that starts full would send fourteen in one; there a token comes back one window after its use.
//!
//! Never: a request ahead of its token; a pause that an answer named cut short.

use std::collections::VecDeque;
use std::time::Duration;

use super::backoff::millis;

/// Requests leave evenly but arrive unevenly: a window is this much longer than the remote's, and more where that turns out too little.
const MARGIN_MS: u64 = 30;

/// And this much at most.
const MOST_MARGIN_MS: u64 = 240;

/// The remote's clock and ours differ in rate, and arrivals bunch up: a bucket is filled this much slower.
const BUCKET_SHARE: f64 = 0.995;

/// What a remote allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// At most `count` in any stretch of `per_ms`.
    Window {
        /// How many.
        count: usize,
        /// In how long.
        per_ms: u64,
    },
    /// `rate` a second, and `burst` at once when rested.
    Bucket {
        /// Tokens a second.
        rate: f64,
        /// Most tokens.
        burst: f64,
    },
}

impl Limit {
    /// From the config's two figures: a burst above a second's worth is a bucket, else it is a limit a second.
    #[must_use]
    pub fn of(rate: f64, burst: u32) -> Self {
        let (rate, burst) = (rate.clamp(0.01, 10_000.0), burst.clamp(1, 100_000));
        if f64::from(burst) > rate {
            return Self::Bucket { rate, burst: f64::from(burst) };
        }
        // Whole milliseconds, rounded up: slower rather than faster.
        let per_ms = (f64::from(burst) * 1000.0 / rate).ceil();
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0.1 and 10^10
        Self::Window { count: burst as usize, per_ms: per_ms as u64 }
    }
}

/// Counts what was sent.
#[derive(Debug)]
pub struct Pace {
    limit: Limit,
    paused_until_ms: u64,
    margin_ms: u64,
    sent: VecDeque<u64>,
    tokens: f64,
    filled_ms: u64,
}

impl Pace {
    /// A pace that begins without a token: what an earlier run has just sent is not known, and a restart must not double the burst.
    #[must_use]
    pub fn new(limit: Limit, now_ms: u64) -> Self {
        let sent = match limit {
            Limit::Window { count, .. } => std::iter::repeat_n(now_ms, count).collect(),
            Limit::Bucket { .. } => VecDeque::new(),
        };
        Self { limit, paused_until_ms: 0, margin_ms: MARGIN_MS, sent, tokens: 0.0, filled_ms: now_ms }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How many milliseconds to wait before asking again.
    pub fn take(&mut self, now_ms: u64) -> Result<(), u64> {
        if now_ms < self.paused_until_ms {
            return Err(self.paused_until_ms - now_ms);
        }
        self.settle(now_ms);
        match self.limit {
            Limit::Window { count, per_ms } => {
                if let (true, Some(first)) = (self.sent.len() >= count, self.sent.front()) {
                    return Err((first + per_ms + self.margin_ms).saturating_sub(now_ms).max(1));
                }
                self.sent.push_back(now_ms);
            }
            Limit::Bucket { rate, .. } => {
                if self.tokens < 1.0 {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // at most 100 s
                    return Err((((1.0 - self.tokens) * 1000.0 / (rate * BUCKET_SHARE)).ceil() as u64).max(1));
                }
                self.tokens -= 1.0;
            }
        }
        Ok(())
    }

    /// The remote asked for silence. A shorter pause never cuts a longer one.
    pub fn pause(&mut self, now_ms: u64, pause: Duration) {
        self.paused_until_ms = self.paused_until_ms.max(now_ms.saturating_add(millis(pause)));
        // Its count is fuller than ours: start from nothing.
        self.tokens = 0.0;
        self.margin_ms = (self.margin_ms * 2).min(MOST_MARGIN_MS);
    }

    /// Until when it pauses, when it does.
    #[must_use]
    pub fn paused_until(&self, now_ms: u64) -> Option<u64> {
        (now_ms < self.paused_until_ms).then_some(self.paused_until_ms)
    }

    /// What could be sent at once.
    pub fn tokens(&mut self, now_ms: u64) -> f64 {
        self.settle(now_ms);
        match self.limit {
            #[allow(clippy::cast_precision_loss)] // at most 100 000
            Limit::Window { count, .. } => count.saturating_sub(self.sent.len()) as f64,
            Limit::Bucket { .. } => self.tokens,
        }
    }

    fn settle(&mut self, now_ms: u64) {
        match self.limit {
            Limit::Window { per_ms, .. } => {
                while self.sent.front().is_some_and(|at| at + per_ms + self.margin_ms <= now_ms) {
                    self.sent.pop_front();
                }
            }
            Limit::Bucket { rate, burst } => {
                #[allow(clippy::cast_precision_loss)]
                let passed = now_ms.saturating_sub(self.filled_ms.max(self.paused_until_ms.min(now_ms))) as f64 / 1000.0;
                self.tokens = (self.tokens + passed * rate * BUCKET_SHARE).min(full(burst));
                self.filled_ms = self.filled_ms.max(now_ms);
            }
        }
    }
}

/// One token short of the remote's own burst, where there is one to spare.
fn full(burst: f64) -> f64 {
    (burst - 1.0).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends as fast as it may for `for_ms`; what a remote sees when each request takes up to `jitter` to arrive.
    fn drain(pace: &mut Pace, from_ms: u64, for_ms: u64, jitter: u64, chance: &mut fastrand::Rng) -> Vec<u64> {
        let (mut now, mut arrivals) = (from_ms, Vec::new());
        while now < from_ms + for_ms {
            match pace.take(now) {
                Ok(()) => arrivals.push(now + chance.u64(0..=jitter)),
                Err(wait) => now += wait,
            }
        }
        arrivals.sort_unstable();
        arrivals
    }

    #[test]
    fn seven_a_second_holds_in_any_second_and_is_used() {
        let mut chance = fastrand::Rng::with_seed(3);
        let mut pace = Pace::new(Limit::of(7.0, 7), 5_000);
        let arrivals = drain(&mut pace, 5_000, 100_000, 25, &mut chance);
        assert!(arrivals.windows(8).all(|eight| eight[7] - eight[0] >= 1_000), "more than seven in one second");
        assert!(arrivals.len() * 100 >= 700 * 95, "{} of 700", arrivals.len());
    }

    #[test]
    fn a_leaky_bucket_of_fifty_is_never_overfilled_and_is_used() {
        let mut chance = fastrand::Rng::with_seed(3);
        let mut pace = Pace::new(Limit::of(2.0, 50), 0);
        let arrivals = drain(&mut pace, 0, 600_000, 200, &mut chance);
        let (mut level, mut last) = (0.0_f64, 0);
        for at in &arrivals {
            level = (level - (at - last) as f64 * 2.0 / 1000.0).max(0.0) + 1.0;
            last = *at;
            assert!(level <= 50.0, "level {level} at {at}");
        }
        assert!(arrivals.len() * 100 >= 1_250 * 95, "{} of 1250", arrivals.len());
        assert!(arrivals[0] >= 500, "a token before its time");
    }

    #[test]
    fn a_pause_is_kept_to_its_end_and_a_shorter_one_does_not_cut_it() {
        let mut pace = Pace::new(Limit::of(2.0, 50), 0);
        pace.pause(1_000, Duration::from_secs(30));
        pace.pause(2_000, Duration::from_secs(1));
        assert_eq!(pace.take(5_000), Err(26_000));
        assert!(pace.take(31_000).is_err(), "nothing was saved up during the pause");
        assert_eq!(pace.take(32_000), Ok(()));
    }
}
