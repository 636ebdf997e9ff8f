//! How long to wait before trying again: doubling, with jitter, capped. Pure: randomness is passed in.

/// The state of one series of attempts.
#[derive(Debug)]
pub(crate) struct Backoff {
    base_ms: u64,
    cap_ms: u64,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(base_ms: u64, cap_ms: u64) -> Self {
        Self { base_ms, cap_ms, failures: 0 }
    }

    /// It failed again: the time to wait, between half of the step and the whole of it.
    pub(crate) fn failed(&mut self, rng: &mut fastrand::Rng) -> u64 {
        let step = self.base_ms.saturating_mul(1 << self.failures.min(20)).clamp(1, self.cap_ms);
        self.failures = self.failures.saturating_add(1);
        rng.u64(step / 2..=step)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_cap_and_begin_anew_after_a_success() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut backoff = Backoff::new(100, 1_500);
        let waits: Vec<u64> = (0..100).map(|_| backoff.failed(&mut rng)).collect();
        assert!((50..=100).contains(&waits[0]), "{waits:?}");
        assert!((100..=200).contains(&waits[1]), "{waits:?}");
        assert!(waits[10..].iter().all(|wait| (750..=1_500).contains(wait)), "{waits:?}");
        backoff.reset();
        assert!(backoff.failed(&mut rng) <= 100);
    }
}
