//! A map as typed: unknown keys are refused, defaults stand here.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{Counter, Input, ModuleMap, Output, Setting};
use crate::codec::Title;
use crate::codec::profile::RawLine;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMap {
    name: String,
    title: Title,
    #[serde(default)]
    models: Vec<String>,
    #[serde(default)]
    line: RawLine,
    #[serde(default)]
    set: Vec<Setting>,
    #[serde(default, rename = "output")]
    outputs: Vec<RawOutput>,
    #[serde(default, rename = "input")]
    inputs: Vec<RawInput>,
    #[serde(default, rename = "counter")]
    counters: Vec<RawCounter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    number: u16,
    label: String,
    coil: u16,
    real: Option<u16>,
    #[serde(default)]
    set: Vec<Setting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInput {
    number: u16,
    label: String,
    discrete: u16,
    #[serde(default)]
    set: Vec<Setting>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCounter {
    number: u16,
    label: String,
    register: u16,
    #[serde(default)]
    holding: bool,
    #[serde(default)]
    set: Vec<Setting>,
}

impl RawMap {
    /// What is wrong, as a sentence, or the map.
    pub(super) fn check(self) -> Result<ModuleMap, String> {
        if self.name.is_empty() || !self.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
            return Err(format!("name = {:?}: lower-case ASCII letters, digits and hyphens are allowed", self.name));
        }
        if self.outputs.is_empty() && self.inputs.is_empty() && self.counters.is_empty() {
            return Err("it has no [[output]], [[input]] or [[counter]]: at least one is needed".to_owned());
        }
        once("outputs", self.outputs.iter().map(|one| one.number))?;
        once("inputs", self.inputs.iter().map(|one| one.number))?;
        once("counters", self.counters.iter().map(|one| one.number))?;
        Ok(ModuleMap {
            line: self.line.check()?,
            name: self.name,
            title: self.title,
            models: self.models,
            set: self.set,
            outputs: self.outputs.into_iter().map(|RawOutput { number, label, coil, real, set }| Output { number, label, coil, real, set }).collect(),
            inputs: self.inputs.into_iter().map(|RawInput { number, label, discrete, set }| Input { number, label, discrete, set }).collect(),
            counters: self
                .counters
                .into_iter()
                .map(|RawCounter { number, label, register, holding, set }| Counter { number, label, register, holding, set })
                .collect(),
        })
    }
}

fn once(what: &str, numbers: impl Iterator<Item = u16>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match numbers.into_iter().find(|number| !seen.insert(*number)) {
        Some(number) => Err(format!("two {what} have the number {number}")),
        None => Ok(()),
    }
}
