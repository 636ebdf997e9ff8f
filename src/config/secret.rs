//! Where secrets are found, and that nobody else can read them.
//!
//! `{ file = "x" }` is looked up in systemd's credentials folder, then in `secrets/` beside the config file; an absolute path is taken as it is.
//! Outside the credentials folder a file that group or world can read is refused. Inside it, systemd makes the files: readable by the unit alone, through
//! an ACL whose mask shows as group bits, so group-readable is accepted there; world-readable and writable are not.
//!
//! Never: a secret in an error.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::{Language, SecretSource};
use crate::domain::Secret;
use crate::words::{Phrase, Word, config as words};

/// Long enough for any token, short enough for a file taken by mistake.
const MOST_BYTES: u64 = 16 * 1024;

/// Why a secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No such file, in any of the places.
    #[error("there is no secret file `{name}`; looked for in {}", list(.places))]
    Missing {
        /// As the config names it.
        name: String,
        /// Where it was looked for.
        places: Vec<PathBuf>,
    },
    /// The variable is not set.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// Others can read it.
    #[error("the secret file {} is open to others (mode {mode:04o}): chmod 600 it", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It cannot be read.
    #[error("cannot read the secret {}: {why:?}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: ErrorKind,
    },
    /// It is empty, too long, or not one line of text.
    #[error("the secret `{name}` is of no use: {}", .why.template(Language::En))]
    Useless {
        /// As the config names it.
        name: String,
        /// Why.
        why: Word,
    },
}

fn list(places: &[PathBuf]) -> String {
    places.iter().map(|place| place.display().to_string()).collect::<Vec<_>>().join(", ")
}

impl SecretError {
    /// What is wrong and what to do, for people.
    #[must_use]
    pub fn phrases(&self) -> (Phrase, Option<Phrase>) {
        match self {
            Self::Missing { name, places } => {
                (words::NO_SECRET_FILE.with("name", name.as_str()), Some(words::NO_SECRET_HELP.with("places", list(places))))
            }
            Self::NoVariable(name) => (words::NO_SECRET_VARIABLE.with("name", name.as_str()), Some(words::SECRET_VARIABLE_HELP.into())),
            Self::Open { path, mode } => {
                let path = path.display().to_string();
                let message = words::OPEN_SECRET.with("path", path.as_str()).with("mode", format!("{mode:04o}"));
                (message, Some(words::OPEN_SECRET_HELP.with("path", path)))
            }
            Self::Unreadable { path, why } => (words::UNREADABLE_SECRET.with("path", path.display().to_string()).with("why", why_not(*why)), None),
            Self::Useless { name, why } => (words::BAD_SECRET.with("name", name.as_str()).with("why", *why), None),
        }
    }
}

/// In words what the system said.
pub(super) fn why_not(kind: ErrorKind) -> crate::words::Value {
    match kind {
        ErrorKind::NotFound | ErrorKind::NotADirectory => words::NOT_FOUND.into(),
        ErrorKind::PermissionDenied => words::NO_ACCESS.into(),
        ErrorKind::IsADirectory => words::IS_DIRECTORY.into(),
        other => other.to_string().into(),
    }
}

impl SecretSource {
    /// As the config names it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Env(name) => name.clone(),
        }
    }

    /// Reads the secret, as this process finds it. `config_file` says which `secrets/` folder is meant.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load(&self, config_file: &Path) -> Result<Secret, SecretError> {
        self.load_in(config_file, &Environment::of_process())
    }

    /// Reads the secret in a given environment.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub fn load_in(&self, config_file: &Path, environment: &Environment) -> Result<Secret, SecretError> {
        cleaned(self.text_in(config_file, environment)?.reveal(), &self.name())
    }

    /// The same for a secret that may have several lines: its text as it is.
    ///
    /// # Errors
    /// See [`SecretError`].
    pub(super) fn text_in(&self, config_file: &Path, environment: &Environment) -> Result<Secret, SecretError> {
        match self {
            Self::Env(name) => environment.variables.get(name).cloned().ok_or_else(|| SecretError::NoVariable(name.clone())),
            Self::File(_) => read(&self.locate(config_file, environment)?),
        }
    }

    /// The file that `load_in` would read.
    pub(super) fn locate(&self, config_file: &Path, environment: &Environment) -> Result<Located, SecretError> {
        let Self::File(name) = self else {
            return Err(SecretError::Missing { name: String::new(), places: Vec::new() });
        };
        let mut places = Vec::new();
        if name.is_absolute() {
            places.push(Located { path: name.clone(), by_systemd: environment.credentials.as_ref().is_some_and(|folder| name.starts_with(folder)) });
        } else {
            if let Some(found) = environment.credentials.as_deref().and_then(|folder| of_whole_folder(folder, name)) {
                return Ok(found);
            }
            places.extend(environment.credentials.iter().map(|folder| Located { path: folder.join(name), by_systemd: true }));
            let beside = config_file.parent().unwrap_or(Path::new("")).join("secrets");
            places.push(Located { path: beside.join(name), by_systemd: false });
        }
        let found = places
            .iter()
            .position(|place| !matches!(place.path.metadata(), Err(why) if matches!(why.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)));
        match found {
            Some(at) => Ok(places.swap_remove(at)),
            None => Err(SecretError::Missing { name: name.display().to_string(), places: places.into_iter().map(|place| place.path).collect() }),
        }
    }
}

/// systemd names the files of a folder that is handed over whole (`LoadCredential=secrets:...`) after it: `secrets_lime-token`.
fn of_whole_folder(credentials: &Path, name: &Path) -> Option<Located> {
    let path = credentials.join(format!("secrets_{}", name.to_str()?));
    path.exists().then_some(Located { path, by_systemd: true })
}

/// A secret's file.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) path: PathBuf,
    by_systemd: bool,
}

/// Opens first and judges the opened file, so that nobody can swap it in between.
fn read(found: &Located) -> Result<Secret, SecretError> {
    let unreadable = |why: std::io::Error| SecretError::Unreadable { path: found.path.clone(), why: why.kind() };
    // A FIFO would wait for a writer: only files are opened.
    if !found.path.metadata().map_err(unreadable)?.is_file() {
        return Err(SecretError::Unreadable { path: found.path.clone(), why: ErrorKind::IsADirectory });
    }
    let mut file = File::open(&found.path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    let forbidden = if found.by_systemd { 0o027 } else { 0o077 };
    if mode & forbidden != 0 {
        return Err(SecretError::Open { path: found.path.clone(), mode });
    }
    let mut bytes = Vec::new();
    Read::by_ref(&mut file).take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let name = || found.path.display().to_string();
    if bytes.len() as u64 > MOST_BYTES {
        return Err(SecretError::Useless { name: name(), why: words::SECRET_LONG });
    }
    String::from_utf8(bytes).map(Secret::new).map_err(|_| SecretError::Useless { name: name(), why: words::SECRET_BINARY })
}

/// One line of text, without the line end that editors add.
fn cleaned(text: &str, name: &str) -> Result<Secret, SecretError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let why = if text.is_empty() {
        words::SECRET_EMPTY
    } else if text.len() as u64 > MOST_BYTES {
        words::SECRET_LONG
    } else if text.chars().any(char::is_control) {
        words::SECRET_BINARY
    } else {
        return Ok(Secret::new(text));
    };
    Err(SecretError::Useless { name: name.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn put(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn source(name: &str) -> SecretSource {
        SecretSource::File(PathBuf::from(name))
    }

    #[test]
    fn the_credentials_folder_comes_before_the_folder_beside_the_config() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("limegate.toml");
        let credentials = home.path().join("credentials");
        put(&home.path().join("secrets"), "t", "beside\n", 0o600);
        let mut environment = Environment::empty();
        assert_eq!(source("t").load_in(&config, &environment).unwrap().reveal(), "beside");
        environment.credentials = Some(credentials.clone());
        assert_eq!(source("t").load_in(&config, &environment).unwrap().reveal(), "beside");
        put(&credentials, "t", "from systemd\n", 0o440);
        assert_eq!(source("t").load_in(&config, &environment).unwrap().reveal(), "from systemd");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_and_systemds_group_bit_is_not() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("limegate.toml");
        let credentials = home.path().join("credentials");
        for mode in [0o604, 0o640, 0o660, 0o644, 0o777, 0o620, 0o602] {
            put(&home.path().join("secrets"), "t", "x", mode);
            let refused = source("t").load_in(&config, &Environment::empty());
            assert!(matches!(refused, Err(SecretError::Open { mode: seen, .. }) if seen == mode), "{mode:o}");
        }
        let environment = Environment { credentials: Some(credentials.clone()), ..Environment::empty() };
        for (mode, accepted) in [(0o400, true), (0o440, true), (0o600, true), (0o444, false), (0o460, false)] {
            let _ = fs::remove_file(credentials.join("t"));
            put(&credentials, "t", "x", mode);
            assert_eq!(source("t").load_in(&config, &environment).is_ok(), accepted, "{mode:o}");
        }
    }

    #[test]
    fn a_secret_of_no_use_is_refused_without_being_told() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join("limegate.toml");
        for (text, why) in [
            ("", words::SECRET_EMPTY),
            (" \n", words::SECRET_EMPTY),
            ("CANARY\nCANARY", words::SECRET_BINARY),
            ("CANARY\u{1b}[0m", words::SECRET_BINARY),
            (&"CANARY".repeat(4000), words::SECRET_LONG),
        ] {
            put(&home.path().join("secrets"), "t", text, 0o600);
            let error = source("t").load_in(&config, &Environment::empty()).unwrap_err();
            assert!(matches!(error, SecretError::Useless { why: seen, .. } if seen == why), "{error}");
            assert!(!format!("{error} {error:?}").contains("CANARY"));
        }
        fs::create_dir_all(home.path().join("secrets/folder")).unwrap();
        assert!(matches!(source("folder").load_in(&config, &Environment::empty()), Err(SecretError::Unreadable { .. })));
        assert!(matches!(source("none").load_in(&config, &Environment::empty()), Err(SecretError::Missing { .. })));
        assert!(matches!(SecretSource::Env("NONE".into()).load_in(&config, &Environment::empty()), Err(SecretError::NoVariable(_))));
    }
}
