//! Maps of I/O modules: which coil is which output, which discrete input is which contact, where the pulse counters are, and what must be set in the
//! module so that it is safe.
//!
//! A map is a TOML file in `config/modules/`. Those are built in; a path loads another, so a further module is a further file. Numbers are the module's
//! own addresses, from 0, as they go over the wire.

mod raw;

use std::path::{Path, PathBuf};

use super::{Line, Title};

/// How one kind of I/O module is spoken with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModuleMap {
    /// The name that the config uses: `wb-mr6c`.
    pub name: String,
    /// For people.
    pub title: Title,
    /// Makes and models that it fits.
    pub models: Vec<String>,
    /// The line's settings, where the config does not say otherwise.
    pub line: Line,
    /// What the module must have set, whatever of it is used.
    pub set: Vec<Setting>,
    /// Outputs.
    pub outputs: Vec<Output>,
    /// Contacts.
    pub inputs: Vec<Input>,
    /// Pulse counters.
    pub counters: Vec<Counter>,
}

/// An output: a relay or a transistor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As the config calls it.
    pub number: u16,
    /// As it is printed on the module.
    pub label: String,
    /// The coil that switches it.
    pub coil: u16,
    /// The discrete input that shows what it really does, where there is one. A module without it answers with an exception, and then the coil is read.
    pub real: Option<u16>,
    /// What must be set when it is used.
    pub set: Vec<Setting>,
}

/// A contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// As the config calls it.
    pub number: u16,
    /// As it is printed on the module.
    pub label: String,
    /// The discrete input that shows it.
    pub discrete: u16,
    /// What must be set when it is used.
    pub set: Vec<Setting>,
}

/// A pulse counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    /// As the config calls it.
    pub number: u16,
    /// As it is printed on the module.
    pub label: String,
    /// Its register; of a counter of 32 bits the low half.
    pub register: u16,
    /// The register is a holding register, not an input register.
    pub holding: bool,
    /// What must be set when it is used.
    pub set: Vec<Setting>,
}

/// A holding register and the value that it must have. It is written only where it reads otherwise: modules keep it in flash memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// The holding register.
    pub register: u16,
    /// Its value.
    pub value: u16,
}

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file cannot be read.
    #[error("cannot read the module map {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no map.
    #[error("{file} is no module map: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, where, and what is allowed.
        message: String,
    },
}

/// Name and text of the built-in maps, sorted by name.
const BUILT_IN: &[(&str, &str)] = &[
    ("modbus-generic", include_str!("../../../config/modules/modbus-generic.toml")),
    ("wb-mr6c", include_str!("../../../config/modules/wb-mr6c.toml")),
];

/// No map is that long; whatever is, is something else.
const MAX_FILE: u64 = 256 * 1024;

impl ModuleMap {
    /// The built-in map of that name.
    #[must_use]
    pub fn builtin(name: &str) -> Option<Self> {
        let (name, text) = BUILT_IN.iter().find(|(known, _)| *known == name)?;
        Self::parse(name, text).ok()
    }

    /// Names of the built-in maps, sorted.
    #[must_use]
    pub fn builtin_names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// Loads a map from a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no map.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, MapError> {
        let path = path.as_ref();
        let unreadable = |source| MapError::Unreadable { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(MapError::Invalid { file: path.display().to_string(), message: format!("{length} bytes long, at most {MAX_FILE}") });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of a map; `file` names it in errors.
    ///
    /// # Errors
    /// When it is no map.
    pub fn parse(file: &str, text: &str) -> Result<Self, MapError> {
        let invalid = |message: String| MapError::Invalid { file: file.to_owned(), message };
        let raw: raw::RawMap = crate::files::toml(text).map_err(|error| invalid(error.trim_end().to_owned()))?;
        raw.check().map_err(invalid)
    }

    /// The output that the config calls by this number.
    #[must_use]
    pub fn output(&self, number: u16) -> Option<&Output> {
        self.outputs.iter().find(|one| one.number == number)
    }

    /// The contact that the config calls by this number.
    #[must_use]
    pub fn input(&self, number: u16) -> Option<&Input> {
        self.inputs.iter().find(|one| one.number == number)
    }

    /// The counter that the config calls by this number.
    #[must_use]
    pub fn counter(&self, number: u16) -> Option<&Counter> {
        self.counters.iter().find(|one| one.number == number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_map_loads_under_its_own_name() {
        for name in ModuleMap::builtin_names() {
            let map = ModuleMap::parse(name, BUILT_IN.iter().find(|(known, _)| *known == name).unwrap().1).unwrap();
            assert_eq!(map.name, name);
        }
    }

    #[test]
    fn the_map_of_the_wb_mr6c_is_the_published_one() {
        let map = ModuleMap::builtin("wb-mr6c").unwrap();
        let coils: Vec<_> = map.outputs.iter().map(|one| (one.number, one.coil, one.real)).collect();
        assert_eq!(coils, (0..6).map(|n| (n, n, Some(96 + n))).collect::<Vec<_>>());
        let inputs: Vec<_> = map.inputs.iter().map(|one| (one.number, one.discrete)).collect();
        assert_eq!(inputs, [(0, 7), (1, 0), (2, 1), (3, 2), (4, 3), (5, 4), (6, 5)]);
        let counters: Vec<_> = map.counters.iter().map(|one| (one.number, one.register, one.holding)).collect();
        assert_eq!(counters, [(0, 39, false), (1, 32, false), (2, 33, false), (3, 34, false), (4, 35, false), (5, 36, false), (6, 37, false)]);
    }

    #[test]
    fn a_map_that_calls_two_things_by_one_number_is_refused() {
        let text = include_str!("../../../config/modules/modbus-generic.toml").replacen("number = 1\n", "number = 0\n", 1);
        let error = ModuleMap::parse("x", &text).unwrap_err().to_string();
        assert!(error.contains("two outputs") && error.contains('0'), "{error}");
        let error = ModuleMap::parse("x", "name = \"a\"\ntitle = { ru = \"a\", en = \"a\" }\n").unwrap_err().to_string();
        assert!(error.contains("no [[output]]"), "{error}");
    }
}
