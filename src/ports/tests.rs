//! Boxes made of files: what the kernel shows of an FTDI adapter, two cheap twins, a CDC scanner, a Raspberry Pi's own UART.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A box below a folder.
struct Fake {
    folder: tempfile::TempDir,
}

impl Fake {
    fn new() -> Self {
        let fake = Self { folder: tempfile::tempdir().unwrap() };
        for folder in ["sys/class/tty", "sys/bus/drivers", "dev/serial/by-id", "dev/serial/by-path", "proc", "run/lock"] {
            fs::create_dir_all(fake.folder.path().join(folder)).unwrap();
        }
        fake
    }

    fn system(&self) -> System {
        System::below(self.folder.path())
    }

    /// A tty whose device stands at `at` below `/sys/devices`, with its driver.
    fn tty(&self, name: &str, at: &str, driver: &str) {
        let root = self.folder.path();
        let (device, bound) = (root.join("sys/devices").join(at), root.join("sys/bus/drivers").join(driver));
        fs::create_dir_all(device.join("tty").join(name)).unwrap();
        fs::create_dir_all(&bound).unwrap();
        symlink(&bound, device.join("driver")).unwrap();
        symlink(&device, device.join("tty").join(name).join("device")).unwrap();
        symlink(device.join("tty").join(name), root.join("sys/class/tty").join(name)).unwrap();
        fs::write(root.join("dev").join(name), "").unwrap();
    }

    fn usb(&self, at: &str, files: &[(&str, &str)]) {
        let device = self.folder.path().join("sys/devices").join(at);
        fs::create_dir_all(&device).unwrap();
        for (name, text) in files {
            fs::write(device.join(name), format!("{text}\n")).unwrap();
        }
    }

    fn link(&self, name: &str, to: &str) {
        symlink(to, self.folder.path().join("dev").join(name)).unwrap();
    }

    fn process(&self, pid: u32, name: &str, files: &[&str]) {
        let process = self.folder.path().join("proc").join(pid.to_string());
        fs::create_dir_all(process.join("fd")).unwrap();
        fs::write(process.join("comm"), format!("{name}\n")).unwrap();
        for (n, file) in files.iter().enumerate() {
            symlink(file, process.join("fd").join(n.to_string())).unwrap();
        }
    }
}

const FTDI: &[(&str, &str)] =
    &[("idVendor", "0403"), ("idProduct", "6001"), ("manufacturer", "FTDI"), ("product", "FT232R USB UART"), ("serial", "AB0KNUJC")];
const CH340: &[(&str, &str)] = &[("idVendor", "1a86"), ("idProduct", "7523"), ("product", "USB Serial")];

#[test]
fn an_adapter_is_told_with_maker_serial_number_driver_and_the_name_that_stays() {
    let fake = Fake::new();
    fake.usb("usb1/1-1/1-1.2", FTDI);
    fake.tty("ttyUSB0", "usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0", "ftdi_sio");
    fake.link("serial/by-id/usb-FTDI_FT232R_USB_UART_AB0KNUJC-if00-port0", "../../ttyUSB0");
    fake.link("serial/by-path/platform-xhci-hcd.0-usb-0:1.2:1.0-port0", "../../ttyUSB0");
    let ports = list(&fake.system());
    let [port] = ports.as_slice() else { panic!("{ports:?}") };
    let usb = port.usb.as_ref().unwrap();
    assert_eq!((usb.vendor.as_str(), usb.product.as_str(), usb.serial.as_deref()), ("0403", "6001", Some("AB0KNUJC")));
    assert_eq!((usb.manufacturer.as_deref(), usb.name.as_deref(), usb.place.as_str()), (Some("FTDI"), Some("FT232R USB UART"), "1-1.2"));
    assert_eq!((port.device.to_str(), port.driver.as_deref()), (Some("/dev/ttyUSB0"), Some("ftdi_sio")));
    assert_eq!(port.stable, Path::new("/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_AB0KNUJC-if00-port0"));
    assert_eq!(port.by_path, [Path::new("/dev/serial/by-path/platform-xhci-hcd.0-usb-0:1.2:1.0-port0")]);
    assert_eq!(fake.system().device_of(&port.stable), port.device);
}

#[test]
fn twins_without_serial_numbers_are_named_by_the_place_where_they_are_plugged_in() {
    let fake = Fake::new();
    for (n, place) in ["1-1.3", "1-1.4"].iter().enumerate() {
        fake.usb(&format!("usb1/{place}"), CH340);
        fake.tty(&format!("ttyUSB{n}"), &format!("usb1/{place}/{place}:1.0/ttyUSB{n}"), "ch341-uart");
        fake.link(&format!("serial/by-path/usb-{place}"), &format!("../../ttyUSB{n}"));
    }
    // udev has room for one of them only.
    fake.link("serial/by-id/usb-1a86_USB_Serial-if00-port0", "../../ttyUSB1");
    let stable: Vec<_> = list(&fake.system()).into_iter().map(|port| port.stable).collect();
    assert_eq!(stable, [Path::new("/dev/serial/by-path/usb-1-1.3"), Path::new("/dev/serial/by-path/usb-1-1.4")]);
}

#[test]
fn the_ports_of_one_adapter_are_no_twins() {
    let fake = Fake::new();
    fake.usb("usb1/1-1", FTDI);
    for n in 0..2 {
        fake.usb(&format!("usb1/1-1/1-1:1.{n}"), &[("bInterfaceNumber", &format!("0{n}"))]);
        fake.tty(&format!("ttyUSB{n}"), &format!("usb1/1-1/1-1:1.{n}/ttyUSB{n}"), "ftdi_sio");
        fake.link(&format!("serial/by-id/usb-FTDI-if0{n}"), &format!("../../ttyUSB{n}"));
    }
    let stable: Vec<_> = list(&fake.system()).into_iter().map(|port| port.stable).collect();
    assert_eq!(stable, [Path::new("/dev/serial/by-id/usb-FTDI-if00"), Path::new("/dev/serial/by-id/usb-FTDI-if01")]);
}

#[test]
fn a_uart_of_the_board_has_its_aliases_and_the_driver_below_the_kernels_own() {
    let fake = Fake::new();
    fake.tty("ttyAMA0", "platform/soc/fe201000.serial/fe201000.serial:0/fe201000.serial:0.0", "port");
    let drivers = fake.folder.path().join("sys/bus/drivers");
    for (at, driver) in [("platform/soc/fe201000.serial/fe201000.serial:0", "ctrl"), ("platform/soc/fe201000.serial", "uart-pl011")] {
        fs::create_dir_all(drivers.join(driver)).unwrap();
        symlink(drivers.join(driver), fake.folder.path().join("sys/devices").join(at).join("driver")).unwrap();
    }
    fake.link("serial0", "ttyAMA0");
    let ports = list(&fake.system());
    assert_eq!((ports[0].driver.as_deref(), &ports[0].usb), (Some("uart-pl011"), &None));
    assert_eq!((ports[0].aliases.as_slice(), ports[0].stable.as_path()), (&[PathBuf::from("/dev/serial0")][..], Path::new("/dev/ttyAMA0")));
}

#[test]
fn consoles_and_reserved_uarts_are_no_ports_and_ten_comes_after_nine() {
    let fake = Fake::new();
    let class = fake.folder.path().join("sys/class/tty");
    fs::create_dir_all(class.join("tty1")).unwrap();
    fake.tty("ttyS3", "platform/serial8250", "serial8250");
    fs::write(class.join("ttyS3/type"), "0\n").unwrap();
    for n in [10, 9] {
        fake.tty(&format!("ttyACM{n}"), &format!("usb2/2-{n}/2-{n}:1.0"), "cdc_acm");
    }
    let names: Vec<_> = list(&fake.system()).into_iter().map(|port| port.device).collect();
    assert_eq!(names, [Path::new("/dev/ttyACM9"), Path::new("/dev/ttyACM10")]);
}

#[test]
fn holders_are_found_by_their_open_files_and_by_lock_files_of_living_processes() {
    let fake = Fake::new();
    fake.process(812, "limegate", &["/dev/null", "/dev/ttyUSB0", "/dev/ttyUSB0", "socket:[1]"]);
    fake.process(900, "minicom", &["/dev/ttyUSB1"]);
    fake.process(901, "ModemManager", &[]);
    let locks = fake.folder.path().join("run/lock");
    fs::write(locks.join("LCK..ttyUSB2"), "       901\n").unwrap();
    fs::write(locks.join("LCK..ttyUSB3"), "       999\n").unwrap();
    fs::write(locks.join("LCK..ttyUSB4"), "what?").unwrap();
    let holders = Holders::look(&fake.system());
    let of = |device: &str| holders.of(Path::new(device)).iter().map(|one| format!("{} {}", one.pid, one.name)).collect::<Vec<_>>().join(", ");
    assert_eq!(of("/dev/ttyUSB0"), "812 limegate");
    assert_eq!(of("/dev/ttyUSB1"), "900 minicom");
    assert_eq!(of("/dev/ttyUSB2"), "901 ModemManager");
    assert_eq!(of("/dev/ttyUSB3") + &of("/dev/ttyUSB4"), "");
    assert_eq!(holders.hidden, 0);
    let gateway = &holders.of(Path::new("/dev/ttyUSB0"))[0];
    assert!(!gateway.is_gateway(&fake.system()), "its command line is not known");
    fs::write(fake.folder.path().join("proc/812/cmdline"), "/usr/bin/limegate\0run\0--config\0x\0").unwrap();
    assert!(gateway.is_gateway(&fake.system()));
    fs::write(fake.folder.path().join("proc/812/cmdline"), "/usr/bin/limegate\0listen\0").unwrap();
    assert!(!gateway.is_gateway(&fake.system()));
}

#[test]
fn a_real_pty_is_held_by_this_very_process() {
    let (main, other) = serialport::TTYPort::pair().unwrap();
    let name = serialport::SerialPort::name(&other).unwrap();
    let holders = Holders::look(&System::of_this_box());
    let device = System::of_this_box().device_of(Path::new(&name));
    let pid = std::process::id();
    assert!(holders.of(&device).iter().any(|holder| holder.pid == pid), "{device:?}: {holders:?}");
    drop((main, other));
}

#[test]
fn a_box_without_sysfs_has_no_ports_and_no_mistakes() {
    let system = System::below(Path::new("/nonexistent"));
    assert!(list(&system).is_empty());
    assert!(Holders::look(&system).of(Path::new("/dev/ttyUSB0")).is_empty());
    assert_eq!(system.device_of(Path::new("/dev/ttyUSB0")), Path::new("/dev/ttyUSB0"));
}
