//! The serial ports of this box: what the kernel says of them, under which names they stay, and who holds them.
//!
//! Read from sysfs, `/dev` and `/proc` alone, through a seam ([`System`]), so that a test brings its own. Never: a port opened; a wait for a device.

mod holders;
mod usb;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use holders::{Holder, Holders};
pub use usb::Usb;

/// A folder longer than this is no folder of devices.
const MOST_ENTRIES: usize = 4_096;

/// Where the kernel tells of itself.
#[derive(Clone, Debug)]
pub struct System {
    /// What `/sys` is.
    pub sys: PathBuf,
    /// What `/dev` is.
    pub dev: PathBuf,
    /// What `/proc` is.
    pub proc: PathBuf,
    /// Where programs leave the lock files of serial ports.
    pub locks: PathBuf,
}

impl System {
    /// This box.
    #[must_use]
    pub fn of_this_box() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into(), proc: "/proc".into(), locks: "/run/lock".into() }
    }

    /// All of it below one folder: `root/sys`, `root/dev`, `root/proc`, `root/run/lock`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self { sys: root.join("sys"), dev: root.join("dev"), proc: root.join("proc"), locks: root.join("run/lock") }
    }

    /// A device's path as it is here: `/dev/x` below [`System::dev`].
    fn here(&self, device: &Path) -> PathBuf {
        device.strip_prefix("/dev").map_or_else(|_| device.to_owned(), |rest| self.dev.join(rest))
    }

    /// The name that people use for what is here.
    fn told(&self, here: &Path) -> PathBuf {
        here.strip_prefix(&self.dev).map_or_else(|_| here.to_owned(), |rest| Path::new("/dev").join(rest))
    }

    /// Which device a path leads to, by the name that the kernel gave it: `/dev/serial/by-id/...` is `/dev/ttyUSB0`. A path that leads nowhere is itself.
    #[must_use]
    pub fn device_of(&self, port: &Path) -> PathBuf {
        let here = self.here(port);
        // The folder itself may be reached by links, in a test as on a box.
        let (Ok(device), Ok(dev)) = (here.canonicalize(), self.dev.canonicalize()) else { return port.to_owned() };
        device.strip_prefix(&dev).map_or_else(|_| self.told(&device), |rest| Path::new("/dev").join(rest))
    }
}

/// A serial port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialPort {
    /// The kernel's name: `/dev/ttyUSB0`. Numbered in the order of plugging in where it is an adapter.
    pub device: PathBuf,
    /// Names by maker, model and serial number.
    pub by_id: Vec<PathBuf>,
    /// Names by the place where it is plugged in.
    pub by_path: Vec<PathBuf>,
    /// Other names: `/dev/serial0`, `/dev/ttyMOD1`.
    pub aliases: Vec<PathBuf>,
    /// The kernel's driver: `ftdi_sio`, `cdc_acm`, `uart-pl011`.
    pub driver: Option<String>,
    /// The USB device behind it, where there is one.
    pub usb: Option<Usb>,
    /// The name to write into the config: one that stays after a reboot, where there is one.
    pub stable: PathBuf,
}

/// The serial ports of a box, sorted by name. Virtual consoles, pseudo-terminals and UARTs that the kernel only reserved are none.
#[must_use]
pub fn list(system: &System) -> Vec<SerialPort> {
    let links = Links::of(system);
    let mut found: Vec<SerialPort> = entries(&system.sys.join("class/tty")).iter().filter_map(|class| port(class, &links)).collect();
    found.sort_by_key(|port| natural(&port.device));
    let twins = twins(&found);
    for port in &mut found {
        port.stable = stable(port, &twins);
    }
    found
}

fn port(class: &Path, links: &Links) -> Option<SerialPort> {
    let device = Path::new("/dev").join(class.file_name()?);
    let hardware = class.join("device").canonicalize().ok()?;
    // PORT_UNKNOWN: the driver keeps a number free, and nothing is there.
    if text(&class.join("type")).as_deref() == Some("0") {
        return None;
    }
    let [by_id, by_path, aliases] = links.to(&device);
    let usb = usb::behind(&hardware);
    Some(SerialPort { stable: device.clone(), device, by_id, by_path, aliases, driver: driver(&hardware), usb })
}

/// The driver's name. Newer kernels put two devices of their own (`ctrl`, `port`) between a UART and its tty.
fn driver(hardware: &Path) -> Option<String> {
    hardware.ancestors().take(4).find_map(|at| {
        let name = at.join("driver").canonicalize().ok()?.file_name()?.to_str()?.to_owned();
        (name != "port" && name != "ctrl").then_some(name)
    })
}

/// Maker, model and serial number that more than one adapter has: their names by id are one name.
fn twins(ports: &[SerialPort]) -> BTreeMap<String, usize> {
    let mut seen = BTreeMap::new();
    for usb in ports.iter().filter_map(|port| port.usb.as_ref()) {
        *seen.entry(usb.identity()).or_insert(0) += 1;
    }
    seen
}

fn stable(port: &SerialPort, twins: &BTreeMap<String, usize>) -> PathBuf {
    let alone = port.usb.as_ref().is_none_or(|usb| usb.serial.is_some() && twins.get(&usb.identity()).copied().unwrap_or(0) < 2);
    let (by_id, by_path) = (port.by_id.first(), port.by_path.first());
    let best = if alone { by_id.or(by_path) } else { by_path.or(by_id) };
    best.cloned().unwrap_or_else(|| port.device.clone())
}

/// The links in `/dev` and what they lead to.
struct Links {
    by_id: Vec<(PathBuf, PathBuf)>,
    by_path: Vec<(PathBuf, PathBuf)>,
    plain: Vec<(PathBuf, PathBuf)>,
}

impl Links {
    fn of(system: &System) -> Self {
        let within = |folder: PathBuf| {
            let mut links: Vec<_> = entries(&folder)
                .into_iter()
                .filter(|path| path.is_symlink())
                .map(|path| (system.device_of(&system.told(&path)), system.told(&path)))
                .collect();
            links.sort();
            links
        };
        let serial = system.dev.join("serial");
        Self { by_id: within(serial.join("by-id")), by_path: within(serial.join("by-path")), plain: within(system.dev.clone()) }
    }

    fn to(&self, device: &Path) -> [Vec<PathBuf>; 3] {
        [&self.by_id, &self.by_path, &self.plain].map(|all| all.iter().filter(|(to, _)| to == device).map(|(_, name)| name.clone()).collect())
    }
}

/// `ttyUSB10` after `ttyUSB9`.
fn natural(device: &Path) -> (String, u32) {
    let name = device.to_string_lossy();
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name.get(stem.len()..).and_then(|digits| digits.parse().ok()).unwrap_or(0))
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map(|read| read.take(MOST_ENTRIES).filter_map(|entry| Some(entry.ok()?.path())).collect()).unwrap_or_default()
}

/// A file of sysfs: one short line.
fn text(file: &Path) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file).ok()?.take(4_096).read_to_string(&mut text).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
