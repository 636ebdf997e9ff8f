//! A turnstile that is opened: a Modbus module on a pty, whose relay releases the arm and whose counter sees who goes through. A guest goes, or turns back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serialport::SerialPort;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_serial::SerialStream;

use super::rtu::{Module, RELAYS};

/// The passage contact stays closed so long.
const CONTACT: Duration = Duration::from_millis(100);

/// What the turnstile did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GateBooks {
    /// It was released so often.
    pub opened: u64,
    /// So many went through.
    pub passed: u64,
    /// So many turned back.
    pub turned_back: u64,
    /// Relays that are on now. A relay left on is an open gate.
    pub on: u64,
}

/// A turnstile with up to six sides, one for each relay; the input of the same number counts.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    /// The gateway's end, kept open: the module stays on the line while the gateway is away.
    held: File,
    state: Arc<Mutex<State>>,
    worker: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    module: Module,
    books: GateBooks,
    goes: f64,
    walks: Duration,
    chance: fastrand::Rng,
}

impl Gate {
    /// On a pty of its own, at this Modbus address. `goes`: of the guests let in, this share goes through, `walks` after the release.
    ///
    /// # Errors
    /// When the system gives no pty.
    pub fn pty(address: u8, goes: f64, walks: Duration, seed: u64) -> io::Result<Self> {
        let (port, other) = SerialStream::pair()?;
        let path = PathBuf::from(other.name().ok_or_else(|| io::Error::other("the pty has no name"))?);
        // A plain handle holds no lock that the gateway would run into.
        let held = File::options().read(true).write(true).open(&path)?;
        drop(other);
        let mut chance = fastrand::Rng::with_seed(seed);
        // A module that has been in service: its first reading is no passage.
        let module = Module::new(address, chance.u16(..));
        let state = Arc::new(Mutex::new(State { module, books: GateBooks::default(), goes, walks, chance }));
        let worker = tokio::spawn(serve(port, Arc::clone(&state)));
        Ok(Self { path, held, state, worker })
    }

    /// Where the gateway finds the module.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it did so far.
    #[must_use]
    pub fn books(&self) -> GateBooks {
        let state = lock(&self.state);
        let on = (0..RELAYS).filter(|relay| state.module.is_on(*relay)).count() as u64;
        GateBooks { on, ..state.books }
    }

    /// Which share of the guests goes through from now on.
    pub fn set_goes(&self, share: f64) {
        lock(&self.state).goes = share;
    }

    /// Somebody goes through without having been let in, as at a free or forced gate.
    pub fn force(&self, side: usize) {
        let mut state = lock(&self.state);
        state.module.pulse(side);
        state.books.passed += 1;
    }

    /// A gateway that was killed may leave the pty marked as taken. This makes it forget.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn forget_owner(&self) -> io::Result<()> {
        Ok(rustix::termios::ioctl_tiocnxcl(&self.held)?)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(mut port: SerialStream, state: Arc<Mutex<State>>) {
    let mut buffer = [0; 256];
    let mut guests = tokio::task::JoinSet::new();
    while let Ok(count) = port.read(&mut buffer).await {
        let (answers, released) = lock(&state).take(buffer.get(..count).unwrap_or_default());
        for (side, goes, walks) in released {
            let state = Arc::clone(&state);
            guests.spawn(async move {
                tokio::time::sleep(walks).await;
                lock(&state).guest(side, goes);
                tokio::time::sleep(CONTACT).await;
                lock(&state).module.contact(side, false);
            });
        }
        while guests.try_join_next().is_some() {}
        if count == 0 || port.write_all(&answers).await.is_err() {
            return;
        }
    }
}

impl State {
    /// The answers for the line, and who is let in: side, whether they go, after how long.
    fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, Vec<(usize, bool, Duration)>) {
        let (mut answers, mut released) = (Vec::new(), Vec::new());
        for did in self.module.take(bytes) {
            answers.extend(did.answer);
            for side in did.went_on {
                self.books.opened += 1;
                released.push((side, self.chance.f64() < self.goes, self.walks));
            }
        }
        (answers, released)
    }

    fn guest(&mut self, side: usize, goes: bool) {
        if goes {
            self.module.contact(side, true);
            self.module.pulse(side);
            self.books.passed += 1;
        } else {
            self.books.turned_back += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const ON: [u8; 8] = [0x01, 0x05, 0x00, 0x00, 0xFF, 0x00, 0x8C, 0x3A];
    const OFF: [u8; 8] = [0x01, 0x05, 0x00, 0x00, 0x00, 0x00, 0xCD, 0xCA];

    async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(waited.await.is_ok(), "not within 30 s: {what}");
    }

    fn ask(port: &mut serialport::TTYPort, request: &[u8]) {
        port.write_all(request).unwrap();
        let mut echo = vec![0; request.len()];
        port.read_exact(&mut echo).unwrap();
        assert_eq!(echo, request);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_guest_who_is_let_in_goes_through_or_turns_back_and_the_books_say_which() {
        let gate = Gate::pty(1, 1.0, Duration::from_millis(5), 7).unwrap();
        let mut port = serialport::new(gate.path().to_string_lossy(), 9600).timeout(Duration::from_secs(30)).open_native().unwrap();
        ask(&mut port, &ON);
        assert_eq!(gate.books().on, 1);
        ask(&mut port, &OFF);
        eventually("the guest went through", || gate.books().passed == 1).await;
        gate.set_goes(0.0);
        ask(&mut port, &ON);
        ask(&mut port, &OFF);
        eventually("the guest turned back", || gate.books().turned_back == 1).await;
        gate.force(0);
        assert_eq!(gate.books(), GateBooks { opened: 2, passed: 2, turned_back: 1, on: 0 });
    }
}
