//! Asks Lime for the snapshot: all of it once, then what has changed.
//!
//! Every so often, spread a little, with `since` and the `ETag` of what is in use; rarer after failures. What is in use stays in use until the next is whole,
//! and an answer that is not is thrown away and asked for again. 410, a delta upon another version, or two bad answers in a row: all of it is asked for.
//! Between times the connection to Lime stays warm by this, so that a guest's question need not wait for a handshake.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use tokio::sync::{mpsc, watch};

use crate::clock::SharedClock;
use crate::delivery::{Backoff, Remote};
use crate::http::{Answer, Request};
use crate::lime::requests;

use super::delta::{Bad, Reader};
use super::keeper::{Keeper, Received, Receiving};
use super::media::MediaKey;

/// Pieces of an answer between the network and the disk.
const PIECES: usize = 16;

/// All of a large venue over a slow line.
const LONGEST_ANSWER: Duration = Duration::from_secs(600);

/// A confirmation is written down this often: so much older the snapshot may seem after a reboot, and so rarely the card is written to for it.
const CONFIRMED_EVERY_MS: u64 = 15 * 60_000;

/// When to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Without a failure.
    pub every: Duration,
    /// After failures: waits begin below the first and end below the second.
    pub backoff: (Duration, Duration),
}

impl Default for Rhythm {
    fn default() -> Self {
        Self { every: Duration::from_secs(30), backoff: (Duration::from_secs(2), Duration::from_secs(120)) }
    }
}

/// The loop's own state.
pub struct Fetch {
    keeper: Keeper,
    key: MediaKey,
    remote: Arc<Remote>,
    clock: SharedClock,
    rhythm: Rhythm,
    chance: fastrand::Rng,
    /// Bad answers in a row.
    bad: u32,
    whole: bool,
    written_boot_ms: u64,
}

/// What came of one question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    /// A snapshot that is as things are.
    Good,
    /// Something that should be asked for otherwise, at once.
    Otherwise,
    /// Nothing of use.
    Nothing,
}

impl Fetch {
    /// Fetches for this keeper from this remote.
    #[must_use]
    pub fn new(keeper: Keeper, key: MediaKey, remote: Arc<Remote>, clock: SharedClock, rhythm: Rhythm, chance: fastrand::Rng) -> Self {
        Self { keeper, key, remote, clock, rhythm, chance, bad: 0, whole: false, written_boot_ms: 0 }
    }

    /// Loads what is on disk and keeps it fresh until `stop` turns true. A stop in the middle of an answer throws the answer away.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let Some(loaded) = off_the_runtime(self, |fetch| fetch.keeper.load()).await else { return };
        self = loaded.0;
        let mut backoff = Backoff::new(self.rhythm.backoff.0, self.rhythm.backoff.1);
        loop {
            let asked = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                asked = self.once() => asked,
            };
            let Some((fetch, came)) = asked else { return };
            self = fetch;
            let now = self.clock.boot_ms();
            let wait = match came {
                Came::Good => {
                    backoff.success(now);
                    // A tenth to either side: many boxes that began together do not stay together.
                    self.rhythm.every.mul_f64(self.chance.f64().mul_add(0.2, 0.9))
                }
                Came::Otherwise if self.bad == 0 => continue,
                Came::Otherwise | Came::Nothing => backoff.failure(now, &mut self.chance),
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One question. None: the runtime is going down.
    async fn once(mut self) -> Option<(Self, Came)> {
        if self.keeper.damaged() {
            self = off_the_runtime(self, |fetch| fetch.keeper.set_aside()).await?.0;
        }
        let asked = self.clock.stamp();
        let known = self.keeper.version().filter(|_| !self.whole);
        let request = question(self.keeper.service_points(), known.as_ref());
        let (pieces, coming) = mpsc::channel(PIECES);
        let (key, receiving) = (self.key.clone(), self.keeper.receiving(asked));
        let taking = tokio::task::spawn_blocking(move || receive(key, receiving, coming));
        let answer = self.remote.stream(request, pieces).await;
        let received = taking.await.ok()?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(failure) => {
                // Where what came was of no use, that is why the answer was not read to its end.
                return Some(match received {
                    Err(bad @ (Bad::Line(_) | Bad::Damaged(_) | Bad::TooLarge | Bad::NotTaken(_))) => self.of_no_use(&bad),
                    _ => {
                        tracing::debug!(%failure, "no entitlements");
                        (self, Came::Nothing)
                    }
                });
            }
        };
        match (answer.status, received) {
            (StatusCode::OK, Ok(received)) => {
                let etag = etag(&answer);
                let (mut fetch, applied) = off_the_runtime(self, move |fetch| fetch.keeper.apply(received, etag)).await?;
                if let Err(error) = applied {
                    tracing::error!(%error, "the entitlement snapshot cannot be kept; the one before stays in use");
                    return Some((fetch, Came::Nothing));
                }
                (fetch.bad, fetch.whole, fetch.written_boot_ms) = (0, false, asked.boot_ms);
                Some((fetch, Came::Good))
            }
            (StatusCode::OK, Err(bad)) => Some(self.of_no_use(&bad)),
            (StatusCode::NOT_MODIFIED, _) if known.is_some() => {
                let keep = asked.boot_ms.saturating_sub(self.written_boot_ms) >= CONFIRMED_EVERY_MS;
                let mut fetch = off_the_runtime(self, move |fetch| fetch.keeper.confirm(asked, keep)).await?.0;
                fetch.bad = 0;
                if keep {
                    fetch.written_boot_ms = asked.boot_ms;
                }
                Some((fetch, Came::Good))
            }
            (StatusCode::GONE, _) if known.is_some() => {
                tracing::info!("Lime has no changes since our entitlement snapshot any more; all of it is fetched");
                self.whole = true;
                Some((self, Came::Otherwise))
            }
            (status, _) => {
                tracing::warn!(status = status.as_u16(), "Lime gives no entitlements");
                Some((self, Came::Nothing))
            }
        }
    }

    fn of_no_use(mut self, bad: &Bad) -> (Self, Came) {
        tracing::warn!(%bad, "an answer with entitlements is thrown away");
        self.bad = self.bad.saturating_add(1);
        self.whole |= self.bad >= 2 || matches!(bad, Bad::NotTaken(_));
        (self, Came::Otherwise)
    }
}

/// Carries out what blocks on the disk.
async fn off_the_runtime<T: Send + 'static>(mut fetch: Fetch, work: impl FnOnce(&mut Fetch) -> T + Send + 'static) -> Option<(Fetch, T)> {
    let worked = tokio::task::spawn_blocking(move || {
        let done = work(&mut fetch);
        (fetch, done)
    });
    worked.await.inspect_err(|error| tracing::error!(%error, "the entitlement snapshot is no longer kept fresh")).ok()
}

fn question(service_points: &[String], known: Option<&(String, Option<String>)>) -> Request {
    let mut request = requests::entitlements(service_points, known.map(|(version, _)| version.as_str()));
    request.timeout = LONGEST_ANSWER;
    if let Some(etag) = known.and_then(|(_, etag)| HeaderValue::from_str(etag.as_deref()?).ok()) {
        request.headers.push((header::IF_NONE_MATCH, etag));
    }
    request
}

fn etag(answer: &Answer) -> Option<String> {
    answer.headers.get(header::ETAG)?.to_str().ok().filter(|etag| etag.len() <= 256).map(str::to_owned)
}

/// Reads what comes until it ends or is of no use.
fn receive(key: MediaKey, mut receiving: Receiving, mut pieces: mpsc::Receiver<bytes::Bytes>) -> Result<Received, Bad> {
    let mut reader = Reader::new(key);
    while let Some(piece) = pieces.blocking_recv() {
        reader.take(&piece, &mut receiving)?;
    }
    reader.finish()?;
    receiving.finish()
}
