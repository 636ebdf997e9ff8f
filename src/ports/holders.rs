//! Who has a port open: a look at the open files of all processes, and at the lock files that modem programs leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{System, entries, text};

/// A process that holds a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name, as the kernel has it: at most 15 bytes.
    pub name: String,
}

impl Holder {
    /// Whether it is a running gateway: `limegate run`, and not another command of the same name.
    #[must_use]
    pub fn is_gateway(&self, system: &System) -> bool {
        let line = std::fs::read(system.proc.join(self.pid.to_string()).join("cmdline")).unwrap_or_default();
        self.name.starts_with("limegate") && line.split(|byte| *byte == 0).skip(1).any(|word| word == b"run")
    }
}

/// Who holds what, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    by_device: BTreeMap<PathBuf, Vec<Holder>>,
    /// Processes of other users, into which one may not look: what they hold is not known.
    pub hidden: u64,
}

impl Holders {
    /// Looks at every process.
    #[must_use]
    pub fn look(system: &System) -> Self {
        let mut found = Self::default();
        for process in entries(&system.proc) {
            let Some(pid) = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
            let Ok(files) = std::fs::read_dir(process.join("fd")) else {
                found.hidden += u64::from(process.join("comm").exists());
                continue;
            };
            for file in files.filter_map(Result::ok) {
                if let Ok(device) = std::fs::read_link(file.path())
                    && device.starts_with("/dev")
                {
                    found.add(device, Holder { pid, name: name_of(&process) });
                }
            }
        }
        found.look_at_locks(system);
        found
    }

    /// `LCK..ttyUSB0` holds the id of the process that made it. One whose process has ended says nothing.
    fn look_at_locks(&mut self, system: &System) {
        for file in entries(&system.locks) {
            let device = file.file_name().and_then(|name| name.to_str()?.strip_prefix("LCK..")).map(|name| Path::new("/dev").join(name));
            let pid = text(&file).and_then(|text| text.split_whitespace().next()?.parse::<u32>().ok());
            let (Some(device), Some(pid)) = (device, pid) else { continue };
            let process = system.proc.join(pid.to_string());
            if process.exists() {
                self.add(device, Holder { pid, name: name_of(&process) });
            }
        }
    }

    fn add(&mut self, device: PathBuf, holder: Holder) {
        let holders = self.by_device.entry(device).or_default();
        if !holders.contains(&holder) {
            holders.push(holder);
            holders.sort();
        }
    }

    /// Who holds this device, by the kernel's name of it ([`System::device_of`]).
    #[must_use]
    pub fn of(&self, device: &Path) -> &[Holder] {
        self.by_device.get(device).map_or(&[], Vec::as_slice)
    }
}

fn name_of(process: &Path) -> String {
    text(&process.join("comm")).unwrap_or_else(|| "?".to_owned())
}
