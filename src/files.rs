//! Small files that are replaced whole: a reader, and a power cut, find the old text or the new one, never half of either. Keys that this box makes
//! for itself and that never leave it. And the one way to read a whole TOML file into a type.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use erased_serde::Deserializer as Erased;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The bytes of a key.
const KEY: usize = 32;

/// Reads a TOML file's text.
///
/// # Errors
/// What is wrong with it, with the line and a caret.
pub fn toml<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    let parsed = toml::Deserializer::parse(text).map_err(|error| error.to_string())?;
    erased_serde::deserialize(&mut <dyn Erased<'_>>::erase(parsed)).map_err(|error| error.to_string())
}

/// Puts `text` in the place of the file, readable by its owner alone, and makes its folder (0700) where it is missing. Durable when this returns.
///
/// # Errors
/// What the disk says; the old file is still there then.
pub fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        if let Some(parent) = folder.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    let beside = beside(path);
    // A file left by a power cut may be half written, and a mode is given only to a new one.
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

/// The key in the file; made at the first start, readable by its owner alone. Half a key is as good as none, and a new one is made in its place.
///
/// # Errors
/// What the disk says, or that the system gives no random numbers.
pub fn own_key(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    match std::fs::read(path).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == KEY => return Ok(bytes),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut bytes = Zeroizing::new(vec![0; KEY]);
    SystemRandom::new().fill(&mut bytes).map_err(|_| std::io::Error::other("the system gives no random numbers"))?;
    replace(path, &bytes)?;
    Ok(bytes)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}
