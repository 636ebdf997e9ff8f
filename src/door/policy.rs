//! What is decided when Lime does not answer in time. Pure.

use crate::config::Policy;
use crate::domain::{Decision, DecisionMode};

use super::machine::refusal;
use super::{Known, codes};

/// The gate's policy applied to what the snapshot says.
#[must_use]
pub fn alone(policy: Policy, known: Known) -> Decision {
    match (policy, known) {
        (Policy::Deny, _) => refusal(codes::OFFLINE_NOT_ALLOWED),
        (Policy::SnapshotOnly | Policy::SnapshotThenOpen, Known::Decided(decision)) => decision,
        (Policy::SnapshotOnly, Known::Unable(code)) => refusal(code),
        // An entitlement that is known is named, so that Lime takes that one.
        (Policy::Open, Known::Decided(decision)) if decision.admitted => decision,
        (Policy::SnapshotThenOpen, Known::Unable(_)) | (Policy::Open, _) => {
            Decision { mode: DecisionMode::OfflineOpen, admitted: true, ..refusal(codes::OK) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_policy_does_with_the_snapshot_what_its_name_says() {
        let yes = Decision { admitted: true, right_id: Some("r-1".to_owned()), ..refusal(codes::OK) };
        let no = refusal("blocked_card");
        let unable = || Known::Unable("snapshot_stale");
        let told = |policy, known| {
            let decision = alone(policy, known);
            (decision.admitted, decision.mode, decision.code)
        };
        let snapshot = DecisionMode::OfflineSnapshot;
        for known in [Known::Decided(yes.clone()), Known::Decided(no.clone()), unable()] {
            assert_eq!(told(Policy::Deny, known), (false, snapshot, "offline_not_allowed".to_owned()));
        }
        for policy in [Policy::SnapshotOnly, Policy::SnapshotThenOpen] {
            assert_eq!(alone(policy, Known::Decided(yes.clone())), yes);
            assert_eq!(alone(policy, Known::Decided(no.clone())), no);
        }
        assert_eq!(told(Policy::SnapshotOnly, unable()), (false, snapshot, "snapshot_stale".to_owned()));
        assert_eq!(told(Policy::SnapshotThenOpen, unable()), (true, DecisionMode::OfflineOpen, "ok".to_owned()));
        assert_eq!(alone(Policy::Open, Known::Decided(yes.clone())), yes);
        for known in [Known::Decided(no), unable()] {
            assert_eq!(told(Policy::Open, known), (true, DecisionMode::OfflineOpen, "ok".to_owned()));
        }
    }
}
