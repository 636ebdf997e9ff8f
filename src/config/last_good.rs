//! The config that the gateway last ran with, kept in the state folder: what passes flow on when the file does not check at the next start.
//!
//! The copy is the file's own text below one line that names the file; a copy of another file is not used. Secrets stay where they are, and are looked up
//! beside the file as ever. Never: a copy of what did not run; a secret (a file with one in it does not check).

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::check::STATE_DIR;
use super::{Config, Environment, load};
use crate::files;

/// Its name in the state folder.
const NAME: &str = "last-good.toml";

/// Keeps the text that `config` was read from. Writes only when it is not what is kept already.
///
/// # Errors
/// What the disk says.
pub fn keep(config: &Config, text: &[u8]) -> std::io::Result<()> {
    let path = config.state_dir.join(NAME);
    let mut copy = heading(&config.file).into_bytes();
    copy.extend_from_slice(text);
    if std::fs::read(&path).is_ok_and(|kept| kept == copy) { Ok(()) } else { files::replace(&path, &copy) }
}

/// The config that last ran from this file, if its copy is found and still checks. The state folder is that of the file where it can be read there, else
/// systemd's, else the usual one.
#[must_use]
pub fn last(file: &Path, environment: &Environment) -> Option<Config> {
    state_dirs(file, environment).iter().find_map(|folder| {
        let copy = std::fs::read(folder.join(NAME)).ok()?;
        let text = copy.strip_prefix(heading(file).as_bytes())?;
        let (config, _) = load::from_bytes(file, text, environment).ok()?;
        // A copy that somebody carried here would take this gateway to another's journal.
        (config.state_dir == *folder).then_some(config)
    })
}

fn heading(file: &Path) -> String {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    format!("# The last config that ran from {whole:?}. Not to be edited: that file is.\n")
}

fn state_dirs(file: &Path, environment: &Environment) -> Vec<PathBuf> {
    let named = load::text(file).ok().and_then(|bytes| state_dir_in(std::str::from_utf8(&bytes).ok()?));
    if let Some(named) = named {
        return vec![named];
    }
    let handed = environment.variables.get("STATE_DIRECTORY").and_then(|folders| folders.reveal().split(':').next().map(PathBuf::from));
    handed.into_iter().chain([PathBuf::from(STATE_DIR)]).collect()
}

/// The state folder that a text names, whatever else is wrong with it.
fn state_dir_in(text: &str) -> Option<PathBuf> {
    let (document, _) = DeTable::parse_recoverable(text);
    let folder = Path::new(document.get_ref().get("state_dir")?.get_ref().as_str()?);
    folder.is_absolute().then(|| folder.to_owned())
}
