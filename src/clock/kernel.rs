//! What the kernel says of its clock: whether somebody keeps it right, and how well.
//!
//! NTP daemons tell the kernel how far off the clock may be at most (`maxerror`), the kernel lets that grow by 500 ppm, and setting the clock by hand
//! puts it at 16 s, the worst. Below that the clock is synchronised: the rule that systemd's `timedatectl` goes by. The flag `STA_UNSYNC` says less:
//! chrony sets it just to keep the kernel from writing an RTC.

use std::path::Path;

/// systemd-timesyncd touches it at the first synchronisation of a boot. Says nothing of what came later, so it is asked only when the kernel may not be: a
/// unit with `ProtectClock=yes` is refused even the question.
const TIMESYNC_FLAG: &str = "/run/systemd/timesync/synchronized";

/// The kernel's `NTP_PHASE_LIMIT`, microseconds.
const WORST_ERROR_US: i64 = 16_000_000;

/// What timesyncd gives no figure for: it steps the clock when it is off by more than 0.4 s.
const TIMESYNC_ERROR_MS: u32 = 400;

/// The most the clock may be off, milliseconds; `None` when it is not synchronised or nobody can tell.
pub(super) fn synchronised_within() -> Option<u32> {
    match max_error_us() {
        Some(error) => within(error),
        None => Path::new(TIMESYNC_FLAG).exists().then_some(TIMESYNC_ERROR_MS),
    }
}

fn within(max_error_us: i64) -> Option<u32> {
    (0..WORST_ERROR_US).contains(&max_error_us).then(|| u32::try_from(max_error_us.div_euclid(1000) + 1).unwrap_or(u32::MAX))
}

/// The kernel's `maxerror`; `None` when it does not tell.
#[allow(unsafe_code, reason = "no safe wrapper of adjtimex is in the tree")]
fn max_error_us() -> Option<i64> {
    // SAFETY: `timex` is plain integers, for which zero is a value, and `modes` zero makes the call a question.
    let mut answer: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a whole `timex` that lives through the call and is borrowed by nothing else.
    let state = unsafe { libc::adjtimex(&raw mut answer) };
    // On 32 bits the field is narrower.
    #[allow(clippy::useless_conversion, reason = "on 64 bits it is one")]
    (state >= 0).then(|| i64::from(answer.maxerror))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_error_means_not_synchronised() {
        assert_eq!(within(16_000_000), None);
        assert_eq!(within(15_999_999), Some(16_000));
        assert_eq!(within(0), Some(1));
        assert_eq!(within(-1), None);
    }

    #[test]
    fn the_kernel_can_be_asked() {
        // In a test process without a filter it answers; what, depends on the machine.
        assert!(max_error_us().is_some());
    }
}
