//! The OAuth pair: an access token that lives for an hour or a day and a refresh token that can be used once.
//!
//! It lives in `<state_dir>/oauth/<crm>.json` (0600). A new pair is durable before it is used: written beside, fsynced, renamed over the old one, the
//! folder fsynced; a power cut leaves the old pair or the new one, never half of either. Renewals go one at a time: a second use of a refresh token
//! can cost the whole authorisation.
//!
//! Never: a token in a `Debug`, an error or a log; a pair used before it is on disk, but where the disk refuses it, and that is an error of its own.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::domain::Secret;
use crate::files;
use crate::http::RenewError;

/// An access token and what renews it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// Goes with each request.
    pub access: String,
    /// Buys the next pair, once.
    pub refresh: String,
    /// When the access token ends, by the clock of the token server, seconds since 1970 UTC. For people; nothing is timed by it.
    #[serde(default)]
    pub expires: i64,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// Why a pair could not be read or kept. Holds a path and the disk's words, never a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The disk refused.
    #[error("{path}: {why}")]
    Disk {
        /// The file.
        path: String,
        /// The disk's words.
        why: String,
    },
    /// The file holds no pair.
    #[error("{0}: not an OAuth pair; run `limegate crm login`")]
    Unreadable(String),
}

/// The file of one CRM's pair.
#[derive(Clone, Debug)]
pub struct TokenStore {
    folder: PathBuf,
    name: String,
}

impl TokenStore {
    /// The pair of `crm` (`amocrm`, `bitrix24`) below the state folder.
    #[must_use]
    pub fn new(state_dir: &Path, crm: &str) -> Self {
        Self { folder: state_dir.join("oauth"), name: crm.to_owned() }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.name))
    }

    /// The pair; `None` before the first login.
    ///
    /// # Errors
    /// When the disk refuses, or the file holds something else.
    pub fn load(&self) -> Result<Option<Pair>, TokenError> {
        let path = self.path();
        match std::fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(pair) => Ok(Some(pair)),
                Err(_) => Err(TokenError::Unreadable(path.display().to_string())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(disk(&path, &error)),
        }
    }

    /// Keeps a pair. When this returns, it is on disk, whatever happens to the power.
    ///
    /// # Errors
    /// When the disk refuses; the old pair is still there then.
    pub fn save(&self, pair: &Pair) -> Result<(), TokenError> {
        let text = serde_json::to_vec(pair).map_err(|_| TokenError::Unreadable(self.path().display().to_string()))?;
        self.replace(&self.path(), &text)
    }

    /// Takes the pair for oneself among all processes of the box, until the file is dropped. `None` when another has it.
    fn alone(&self) -> Option<std::fs::File> {
        let lock = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.folder.join(format!("{}.lock", self.name)))
            .ok()?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()?;
        Some(lock)
    }

    /// Where a note about the pair is.
    fn note_path(&self) -> PathBuf {
        self.folder.join(format!("{}.note.json", self.name))
    }

    /// A note about the pair, kept as durably as the pair itself: what has been done with its refresh token. `None` when there is none, or it cannot be
    /// read.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        std::fs::read_to_string(self.note_path()).ok()
    }

    /// Keeps a note about the pair. Never a token.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn keep_note(&self, text: &str) -> Result<(), TokenError> {
        self.replace(&self.note_path(), text.as_bytes())
    }

    /// Puts a file in the place of another: either stands there whole, whatever happens to the power.
    fn replace(&self, path: &Path, text: &[u8]) -> Result<(), TokenError> {
        files::replace(path, text).map_err(|error| disk(path, &error))
    }
}

fn disk(path: &Path, error: &std::io::Error) -> TokenError {
    TokenError::Disk { path: path.display().to_string(), why: error.to_string() }
}

/// A pair in use: handed out, and renewed one caller at a time.
#[derive(Debug)]
pub struct Rotating {
    store: TokenStore,
    now: RwLock<(Arc<Pair>, u64)>,
    flight: tokio::sync::Mutex<()>,
}

impl Rotating {
    /// Starts from the pair on disk.
    #[must_use]
    pub fn new(store: TokenStore, pair: Pair) -> Self {
        Self { store, now: RwLock::new((Arc::new(pair), 0)), flight: tokio::sync::Mutex::new(()) }
    }

    /// The access token to use now.
    #[must_use]
    pub fn access(&self) -> Secret {
        Secret::new(self.read().0.access.as_str())
    }

    fn read(&self) -> (Arc<Pair>, u64) {
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Renews the pair with `ask`, which sends the refresh token to the token server. Of callers at once, one renews and the others find it done.
    ///
    /// # Errors
    /// What `ask` reports; or that the new pair could not be kept. It is used all the same then, for the old one is dead.
    pub async fn renew<F, Fut>(&self, ask: F) -> Result<(), RenewError>
    where
        F: FnOnce(Arc<Pair>) -> Fut + Send,
        Fut: Future<Output = Result<Pair, RenewError>> + Send,
    {
        let seen = self.read().1;
        let _alone = self.flight.lock().await;
        let (pair, turn) = self.read();
        if turn != seen {
            return Ok(());
        }
        let store = self.store.clone();
        let _alone_on_the_box = match tokio::task::spawn_blocking(move || (store.folder.is_dir(), store.alone())).await {
            Ok((true, None)) => return Err(RenewError::Later("another limegate on this box is renewing it".to_owned())),
            Ok((_, lock)) => lock,
            Err(_) => None,
        };
        // `limegate crm login` may have put a new pair there, or another process of this box renewed it: what is on disk is newer than what we hold.
        let store = self.store.clone();
        if let Ok(Ok(Some(stored))) = tokio::task::spawn_blocking(move || store.load()).await
            && stored != *pair
        {
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(stored), turn + 1);
            return Ok(());
        }
        let fresh = ask(pair).await?;
        let (store, kept) = (self.store.clone(), fresh.clone());
        let saved = tokio::task::spawn_blocking(move || store.save(&kept)).await;
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(fresh), turn + 1);
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(RenewError::Later(format!("the new pair could not be kept: {error}"))),
            Err(_) => Err(RenewError::Later("the new pair could not be kept".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn pair(n: u32) -> Pair {
        Pair { access: format!("access-{n}"), refresh: format!("refresh-{n}"), expires: 0 }
    }

    #[test]
    fn a_pair_survives_a_save_cut_short_and_is_readable_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "bitrix24");
        assert_eq!(store.load(), Ok(None));
        store.save(&pair(1)).unwrap();
        // What a power cut in the middle of the next save leaves behind.
        std::fs::write(home.path().join("oauth/bitrix24.json.new"), b"{\"acc").unwrap();
        assert_eq!(store.load(), Ok(Some(pair(1))));
        store.save(&pair(2)).unwrap();
        assert_eq!(store.load(), Ok(Some(pair(2))));
        assert_eq!(std::fs::metadata(store.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_says_what_to_do_and_not_what_it_holds() {
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "amocrm");
        store.save(&pair(1)).unwrap();
        std::fs::write(store.path(), b"{\"access\":\"access-1").unwrap();
        let said = store.load().unwrap_err().to_string();
        assert!(said.contains("crm login") && !said.contains("access-1"), "{said}");
        assert!(!format!("{:?}", pair(1)).contains("access-1"));
    }

    #[tokio::test]
    async fn of_many_renewals_at_once_one_is_made_and_it_is_on_disk_before_it_is_used() {
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "bitrix24");
        let rotating = Arc::new(Rotating::new(store.clone(), pair(1)));
        let asked = Arc::new(AtomicU32::new(0));
        let renewals: Vec<_> = (0..8)
            .map(|_| {
                let (rotating, asked) = (Arc::clone(&rotating), Arc::clone(&asked));
                tokio::spawn(async move {
                    rotating
                        .renew(|old| async move {
                            assert_eq!(old.refresh, "refresh-1");
                            asked.fetch_add(1, Ordering::SeqCst);
                            tokio::task::yield_now().await;
                            Ok(pair(2))
                        })
                        .await
                })
            })
            .collect();
        for renewal in renewals {
            assert_eq!(renewal.await.unwrap(), Ok(()));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(rotating.access().reveal(), "access-2");
        assert_eq!(store.load(), Ok(Some(pair(2))));
    }

    #[tokio::test]
    async fn of_two_processes_one_renews() {
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "amocrm");
        store.save(&pair(1)).unwrap();
        let rotating = Rotating::new(store.clone(), pair(1));
        let other = store.alone().unwrap();
        assert!(matches!(rotating.renew(|_| async { panic!("the other one asks") }).await, Err(RenewError::Later(_))));
        drop(other);
        assert_eq!(rotating.renew(|_| async { Ok(pair(2)) }).await, Ok(()));
    }

    #[tokio::test]
    async fn a_login_beside_the_running_gateway_is_taken_up_without_a_renewal() {
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "amocrm");
        let rotating = Rotating::new(store.clone(), pair(1));
        store.save(&pair(7)).unwrap();
        assert_eq!(rotating.renew(|_| async { panic!("nothing needs to be asked") }).await, Ok(()));
        assert_eq!(rotating.access().reveal(), "access-7");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_keeps_the_pair() {
        let home = tempfile::tempdir().unwrap();
        let store = TokenStore::new(home.path(), "bitrix24");
        let rotating = Rotating::new(store, pair(1));
        let later = RenewError::Later("503".to_owned());
        assert_eq!(rotating.renew(|_| async { Err(RenewError::Later("503".to_owned())) }).await, Err(later));
        assert_eq!(rotating.access().reveal(), "access-1");
    }
}
