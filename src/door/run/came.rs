//! What came of what the door had begun.

use std::time::Duration;

use uuid::Uuid;

use super::super::Answer;
use super::super::machine::{Event, Opening};
use super::acts::count_used;
use super::{Done, Runner, hand_result};
use crate::device::NotOpened;
use crate::domain::Pass;
use crate::journal::AppendError;
use crate::source::{Refused, Taken};
use crate::tap::{Event as Tap, PassEvent};

/// Outputs that are not known to be off are switched off again after this.
const CLOSE_AGAIN: Duration = Duration::from_secs(2);

impl Runner {
    pub(super) fn stored(&mut self, visit: Uuid, result: Result<u64, AppendError>, durable_us: u64) {
        let stored = result.is_ok();
        if let Some(guest) = self.guests.get_mut(&visit) {
            match result {
                Ok(seq) => {
                    let _ = self.shared.tap.send(Tap::Pass(PassEvent::of(seq, guest.pass.clone(), durable_us)));
                    guest.answer(Ok(Taken::Stored { id: visit, seq, durable_us }));
                }
                Err(AppendError::Closed) => guest.answer(Err(Refused::Stopping)),
                Err(error) => guest.answer(Err(Refused::NotStored(error.to_string()))),
            }
        }
        self.on(Event::Stored(visit, stored));
    }

    pub(super) fn asked(&mut self, visit: Uuid, answer: Answer) {
        let now = self.shared.clock.boot_ms();
        match answer {
            Answer::Granted { decision, lines, open_ms } => {
                self.status(|door| door.alone_since_boot_ms = None);
                if let Some(guest) = self.guests.get_mut(&visit) {
                    guest.lines = lines;
                    guest.open_ms = open_ms;
                    // The snapshot does not know of it yet.
                    count_used(&self.shared, &guest.pass, &decision);
                }
                self.on(Event::Answered(visit, decision));
            }
            Answer::Refused { decision, lines } => {
                self.status(|door| door.alone_since_boot_ms = None);
                if let Some(guest) = self.guests.get_mut(&visit) {
                    guest.lines = lines;
                }
                self.on(Event::Answered(visit, decision));
            }
            Answer::NoAnswer { late, .. } => {
                self.status(|door| _ = door.alone_since_boot_ms.get_or_insert(now));
                if let Some(late) = late {
                    self.work.spawn(async move {
                        match late.await {
                            Ok(answer) => Done::Late { visit, answer },
                            Err(_) => Done::Nothing,
                        }
                    });
                }
                self.on(Event::Unanswered(visit));
            }
        }
    }

    pub(super) fn opened(&mut self, visit: Uuid, result: Result<(), NotOpened>) {
        let opening = match &result {
            Ok(()) => Opening::Done,
            Err(NotOpened::Unknown(_)) => Opening::Unknown,
            Err(_) => Opening::Not,
        };
        if let Err(error) = &result {
            tracing::error!(gate = %self.door(), pass = %visit, %error, "the gate was ordered open and is not known to have opened");
        }
        self.status(|door| door.does_not_open = result.err().map(|error| error.to_string()));
        // A person need not wait for the passage.
        self.answer_hand(visit, hand_result(opening));
        self.on(Event::Opened(visit, opening));
    }

    /// A device that did not answer is told again until it does: at a start its line may be slower than its door.
    pub(super) fn gate_closed(&mut self, result: Result<(), NotOpened>) {
        let trouble = result.err().map(|error| error.to_string());
        if trouble != self.not_off {
            match &trouble {
                Some(error) => tracing::warn!(gate = %self.door(), %error, "the outputs of the gate are not known to be off"),
                None => tracing::info!(gate = %self.door(), "the outputs of the gate are off"),
            }
        }
        self.not_off.clone_from(&trouble);
        if trouble.is_some() {
            self.close_later();
        }
        self.status(|door| door.does_not_close = trouble);
    }

    pub(super) fn close_later(&mut self) {
        if std::mem::replace(&mut self.closing_again, true) {
            return;
        }
        self.work.spawn(async {
            tokio::time::sleep(CLOSE_AGAIN).await;
            Done::CloseAgain
        });
    }

    pub(super) fn closed(&mut self, pass: &Pass) {
        self.guests.remove(&pass.id);
        self.shared.hub.update(|now| now.passes += 1);
        self.shared.hub.gate(pass.gate.as_str(), |gate| {
            gate.passes += 1;
            gate.last_pass_boot_ms = Some(pass.stamp.boot_ms);
        });
        self.report();
    }
}
