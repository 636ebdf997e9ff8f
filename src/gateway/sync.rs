//! Synchronisation without a running gateway: walks Lime's feeds into the journal, or counts what a walk would tell of.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::{SharedClock, SystemClock};
use crate::config::Config;
use crate::delivery::{Lane, Ledger, Remote, too_many_requests};
use crate::domain::{Product, Told};
use crate::feed::{self, Feed, Heard, News, Turn};
use crate::journal::{Journal, Learned, LedgerKey, Store};
use crate::lime::feed::{Kind, LimeFeed, Place, Wish};
use crate::status::{Hub, Snapshot};

use super::{StartError, crm_policy, journal_options, make_private, real_disk, remotes};

/// How often a question of a count is asked again before it is given up.
const TRIES: u32 = 5;

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Feeds that are walked while no gateway runs. The journal is this one's alone meanwhile.
pub struct Walker {
    journal: Journal,
    store: Arc<dyn Store>,
    hub: Arc<Hub>,
    clock: SharedClock,
    remote: Arc<Remote>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Walker {
    /// Opens the journal; nothing is read from Lime yet.
    ///
    /// # Errors
    /// When a gateway has the journal, or the config cannot be used.
    pub fn open(config: &Config) -> Result<Self, StartError> {
        let clock: SharedClock = Arc::new(SystemClock::new());
        make_private(&config.state_dir).map_err(|error| StartError::State(config.state_dir.clone(), error))?;
        let remote = remotes::connect(config, &clock)?.remotes.lime;
        let journal = Journal::open(real_disk(), journal_options(config, Arc::clone(&clock)))?;
        let store: Arc<dyn Store> = Arc::new(journal.clone());
        let hub = Arc::new(Hub::new(Snapshot::default()));
        Ok(Self { journal, store, hub, clock, remote, stop: watch::channel(false).0, tasks: JoinSet::new() })
    }

    /// The journal.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Begins to read these feeds; whatever the ledger says they are to do.
    ///
    /// # Errors
    /// When a secret or an address in the config cannot be used.
    pub fn read(&mut self, config: &Config, kinds: &[Kind]) -> Result<(), StartError> {
        let courier = remotes::crm_courier(config, remotes::keyer(config)?);
        for kind in kinds {
            let parts = feed::Parts {
                store: Arc::clone(&self.store),
                remote: Arc::clone(&self.remote),
                courier: Arc::clone(&courier),
                hub: Arc::clone(&self.hub),
                clock: Arc::clone(&self.clock),
                hint: feed::Hint::default(),
                chance: fastrand::Rng::new(),
            };
            self.tasks.spawn(feed::run(Box::new(LimeFeed::new(*kind)), parts, self.stop.subscribe()));
        }
        Ok(())
    }

    /// What holds the reading up, in a line each.
    #[must_use]
    pub fn trouble(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.hub.snapshot().feeds.into_iter().filter_map(|(name, feed)| Some(format!("{name}: {}", feed.error_text?))).collect();
        lines.extend(self.remote.health().error_text.map(|text| format!("lime: {text}")));
        lines
    }

    /// Ends the reading and closes the journal.
    pub async fn end(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let journal = self.journal.clone();
        drop(self.store);
        if tokio::task::spawn_blocking(move || journal.close()).await.is_err() {
            tracing::error!("the journal could not be closed in order; the next start catches up from the log");
        }
    }
}

/// What a walk would tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Things that would become jobs.
    pub jobs: u64,
    /// Things that the config does not ask for, or that are too old.
    pub passed: u64,
    /// Things that cannot be read.
    pub odd: u64,
}

/// Counts without keeping anything: asks Lime for everything of a kind. `each` hears of the count after every page.
///
/// # Errors
/// Why Lime cannot be asked, in one line.
pub async fn count(config: &Config, kind: Kind, since_ms: Option<i64>, mut each: impl FnMut(Count)) -> Result<Count, String> {
    look_through(config, kind, since_ms, |_, counted| each(counted)).await
}

/// All products and groups of products that Lime has.
///
/// # Errors
/// Why Lime cannot be asked, in one line.
pub async fn products(config: &Config) -> Result<Vec<Product>, String> {
    let mut products = Vec::new();
    look_through(config, Kind::Products, None, |news, _| {
        products.extend(news.iter().filter_map(|news| match &news.told {
            Told::Product(product) => Some(product.clone()),
            _ => None,
        }));
    })
    .await?;
    Ok(products)
}

async fn look_through(config: &Config, kind: Kind, since_ms: Option<i64>, mut each: impl FnMut(&[News], Count)) -> Result<Count, String> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let remote = remotes::connect(config, &clock).map_err(|error| error.to_string())?.remotes.lime;
    let wanted = crm_policy(config).hub;
    let mut memory = Lines::default();
    memory.learn(vec![Wish { id: "count".to_owned(), since_ms }.learned(kind.name())]);
    let mut feed = LimeFeed::new(kind);
    let (mut counted, mut tries, mut answer, mut kept) = (Count::default(), 0, None, false);
    loop {
        let heard = match (&answer, kept) {
            (Some(answer), _) => Heard::Answer(answer),
            (None, true) => Heard::Kept,
            (None, false) => Heard::Begin,
        };
        let turn = feed.next(heard, &memory, clock.stamp().wall_ms);
        counted.odd += feed.passed_over().len() as u64;
        (answer, kept) = (None, false);
        let why = match turn {
            Turn::Ask(request) => match remote.ask_in(Lane::Backlog, request, &too_many_requests).await {
                Ok(found) => {
                    (answer, tries) = (Some(found), 0);
                    continue;
                }
                Err(error) => error.to_string(),
            },
            Turn::Keep(page) => {
                let jobs = page.news.iter().filter(|news| wanted.wants_told(&news.told)).count() as u64;
                counted.jobs += jobs;
                counted.passed += page.news.len() as u64 - jobs;
                each(&page.news, counted);
                memory.learn(page.learned);
                kept = true;
                if memory.walked(kind) {
                    return Ok(counted);
                }
                continue;
            }
            Turn::Rest(_) => return Ok(counted),
            Turn::Trouble(_, text, _) => text,
        };
        tries += 1;
        if tries >= TRIES {
            return Err(why);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The feed's own lines, and no others: what a count would learn of products is of no use to it.
#[derive(Default)]
struct Lines(HashMap<LedgerKey, String>);

impl Lines {
    fn learn(&mut self, learned: Vec<Learned>) {
        for line in learned.into_iter().filter(|line| matches!(line.key.kind.as_str(), "cursor" | "walk")) {
            match line.value {
                Some(value) => self.0.insert(line.key, value),
                None => self.0.remove(&line.key),
            };
        }
    }

    fn walked(&self, kind: Kind) -> bool {
        let place = self.0.get(&feed::cursor_key(kind.name())).and_then(|text| Place::parse(text));
        place.is_some_and(|place| place.walked.is_some())
    }
}

impl Ledger for Lines {
    fn get(&self, key: &LedgerKey) -> Option<String> {
        self.0.get(key).cloned()
    }
}
