//! What a door tells the guest through a reader that takes commands: a scanner's beep, its trigger.
//!
//! The door's side never waits. A command goes to the port's own task, which sends it while the port is open and nothing that was read is on its way to the
//! disk; one that cannot go out within half a second is dropped, for the guest it was meant for has gone on.
//!
//! Never: a sound for a medium that is not yet on disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::codec::{Profile, Voicing};
use crate::device::{Told, Voice};

/// Commands that may wait; more are dropped.
const WAITING: usize = 4;
/// What is older than this is not sent any more.
const STALE: Duration = Duration::from_millis(500);

/// The commands that come for one port.
pub struct Commands(mpsc::Receiver<Command>);

struct Command {
    bytes: Vec<u8>,
    at: Instant,
}

/// A voice for the reader of that profile, and the commands for its port's task. Nothing where the profile says no commands.
#[must_use]
pub fn voice(profile: &Profile) -> Option<(Arc<dyn Voice>, Commands)> {
    let voicing = profile.voice.clone()?;
    let (sender, receiver) = mpsc::channel(WAITING);
    Some((Arc::new(ReaderVoice { voicing, sender }), Commands(receiver)))
}

struct ReaderVoice {
    voicing: Voicing,
    sender: mpsc::Sender<Command>,
}

impl Voice for ReaderVoice {
    fn tell(&self, told: &Told) {
        let bytes = match told {
            Told::Go { .. } => &self.voicing.go,
            Told::No { .. } => &self.voicing.no,
            Told::Wait => &self.voicing.wait,
            Told::Ready => &self.voicing.ready,
        };
        if let Some(bytes) = bytes {
            // Full: the port does not take commands, and the guest does not wait.
            let _ = self.sender.try_send(Command { bytes: bytes.clone(), at: Instant::now() });
        }
    }
}

impl Commands {
    /// The bytes of the next command that is still worth sending. Waits for ever once nobody can send one. Cancel safe.
    pub(super) async fn next(&mut self) -> Vec<u8> {
        loop {
            match self.0.recv().await {
                Some(command) if command.at.elapsed() < STALE => return command.bytes,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn no() -> Told {
        Told::No { code: "no_ticket".to_owned(), lines: Vec::new() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_the_beep_of_a_code_that_is_not_on_file_and_late_beeps_are_dropped() {
        let (voice, mut commands) = voice(&Profile::builtin("scanner-datalogic").unwrap()).unwrap();
        voice.tell(&Told::Wait);
        voice.tell(&no());
        assert_eq!(commands.next().await, b"F");
        for _ in 0..100 {
            voice.tell(&no());
        }
        tokio::time::advance(STALE).await;
        voice.tell(&Told::Go { lines: Vec::new() });
        assert!(tokio::time::timeout(STALE, commands.next()).await.is_err(), "all of it was for guests who have gone on");
        voice.tell(&Told::Go { lines: Vec::new() });
        assert_eq!(commands.next().await, b"B");
    }

    #[test]
    fn a_reader_without_commands_has_no_voice() {
        assert!(voice(&Profile::builtin("ironlogic-z2").unwrap()).is_none());
    }
}
