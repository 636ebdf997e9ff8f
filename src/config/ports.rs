//! Serial ports by names that stay: `/dev/ttyUSB0` is whichever adapter was plugged in first.

use std::path::{Path, PathBuf};

use super::environment::Environment;

/// Numbered in the order of plugging in.
pub(super) fn is_unstable(port: &Path) -> bool {
    let Some(name) = port.strip_prefix("/dev").ok().and_then(Path::to_str) else { return false };
    ["ttyUSB", "ttyACM"].iter().any(|kind| name.strip_prefix(kind).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())))
}

/// A name of the same device that stays: by id, else by path. `None` when the device is not plugged in now, or has no such name.
pub(super) fn stable_name(port: &Path, environment: &Environment) -> Option<PathBuf> {
    let device = environment.device(port).canonicalize().ok()?;
    ["by-id", "by-path"].iter().find_map(|kind| {
        let folder = environment.devices.join("serial").join(kind);
        let mut names: Vec<_> = std::fs::read_dir(folder).ok()?.take(256).filter_map(|entry| Some(entry.ok()?.path())).collect();
        names.sort();
        let same = names.into_iter().find(|link| link.canonicalize().is_ok_and(|target| target == device))?;
        Some(Path::new("/dev/serial").join(kind).join(same.file_name()?))
    })
}

/// The device behind a port right now, to see that two names are one device.
pub(super) fn device(port: &Path, environment: &Environment) -> PathBuf {
    environment.device(port).canonicalize().unwrap_or_else(|_| port.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_adapters_are_unstable_and_everything_else_is_not() {
        for port in ["/dev/ttyUSB0", "/dev/ttyACM12"] {
            assert!(is_unstable(Path::new(port)), "{port}");
        }
        for port in ["/dev/serial/by-id/usb-x", "/dev/ttyS0", "/dev/ttyUSB", "/dev/ttyUSBx", "/tmp/ttyUSB0", "/dev/pts/3"] {
            assert!(!is_unstable(Path::new(port)), "{port}");
        }
    }

    #[test]
    fn a_plugged_in_adapter_is_found_by_id() {
        let devices = tempfile::tempdir().unwrap();
        let by_id = devices.path().join("serial/by-id");
        std::fs::create_dir_all(&by_id).unwrap();
        std::fs::write(devices.path().join("ttyUSB0"), "").unwrap();
        std::os::unix::fs::symlink("../../ttyUSB0", by_id.join("usb-FTDI-if00")).unwrap();
        let environment = Environment { devices: devices.path().to_owned(), ..Environment::empty() };
        assert_eq!(stable_name(Path::new("/dev/ttyUSB0"), &environment), Some(PathBuf::from("/dev/serial/by-id/usb-FTDI-if00")));
        assert_eq!(stable_name(Path::new("/dev/ttyUSB1"), &environment), None);
        assert_eq!(device(Path::new("/dev/ttyUSB0"), &environment), device(Path::new("/dev/serial/by-id/usb-FTDI-if00"), &environment));
    }
}
