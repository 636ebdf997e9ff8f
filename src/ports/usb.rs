//! The USB device behind a serial port, as sysfs shows it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::text;

/// A USB device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usb {
    /// Vendor id, four hex digits: `0403`.
    pub vendor: String,
    /// Product id, four hex digits: `6001`.
    pub product: String,
    /// The maker's name, as the device gives it.
    pub manufacturer: Option<String>,
    /// The product's name, as the device gives it.
    pub name: Option<String>,
    /// The serial number. Cheap adapters have none, or all the same.
    pub serial: Option<String>,
    /// Where it is plugged in: bus and ports, `1-1.2`.
    pub place: String,
    /// Which of the device's interfaces this port is, where it has several.
    pub interface: Option<String>,
}

impl Usb {
    /// What names by id are made of.
    pub(super) fn identity(&self) -> String {
        let interface = self.interface.as_deref().unwrap_or_default();
        format!("{}:{}:{}:{interface}", self.vendor, self.product, self.serial.as_deref().unwrap_or_default())
    }
}

/// The USB device that a device of sysfs hangs on: the nearest one above it that has a vendor.
pub(super) fn behind(hardware: &Path) -> Option<Usb> {
    let device = hardware.ancestors().take(8).find(|at| at.join("idVendor").is_file())?;
    let interface = hardware.ancestors().take_while(|at| *at != device).find_map(|at| text(&at.join("bInterfaceNumber")));
    Some(Usb {
        vendor: text(&device.join("idVendor"))?,
        product: text(&device.join("idProduct"))?,
        manufacturer: text(&device.join("manufacturer")),
        name: text(&device.join("product")),
        serial: text(&device.join("serial")),
        place: device.file_name()?.to_string_lossy().into_owned(),
        interface,
    })
}
