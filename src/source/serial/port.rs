//! Opening a port, and why that did not work, in words.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio_serial::{DataBits, ErrorKind, FlowControl, SerialPortBuilderExt, SerialStream};

use crate::codec::{Flow, Line, Parity, StopBits};

/// An open port.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) stream: SerialStream,
    device: Device,
}

/// Which device a path led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Device {
    dev: u64,
    inode: u64,
    rdev: u64,
}

/// Opens the port for this process alone (TIOCEXCL and a lock), raw. Blocks as long as the driver does.
///
/// # Errors
/// What is wrong and what to look at, in one line.
pub(crate) fn open(path: &Path, line: Line, baud: Option<u32>) -> Result<Port, String> {
    let Some(name) = path.to_str() else {
        return Err("the port's path is no UTF-8".to_owned());
    };
    let stream = tokio_serial::new(name, baud.unwrap_or(line.baud))
        .data_bits(data_bits(line.data_bits))
        .parity(parity(line.parity))
        .stop_bits(stop_bits(line.stop_bits))
        .flow_control(flow(line.flow))
        .open_native_async()
        .map_err(|error| explain(&error))?;
    let device = look(path).map_err(|error| format!("it went away while it was opened: {error}"))?;
    Ok(Port { stream, device })
}

impl Port {
    /// Whether the path still leads to the device that is open. A by-id path leads elsewhere after a re-enumeration, and a driver that hangs does not
    /// report that its device is gone.
    ///
    /// # Errors
    /// What happened to it, in one line.
    pub(crate) fn still_there(&self, path: &Path) -> Result<(), String> {
        match look(path) {
            Ok(device) if device == self.device => Ok(()),
            Ok(_) => Err("the path leads to another device now".to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("the device is gone: unplugged?".to_owned()),
            Err(error) => Err(format!("cannot look at the device: {error}")),
        }
    }
}

/// `struct serial_rs485` of the kernel.
#[repr(C)]
struct SerialRs485 {
    flags: u32,
    delay_before_send_ms: u32,
    delay_after_send_ms: u32,
    padding: [u32; 5],
}

/// Half duplex, the kernel drives RTS.
const RS485_ENABLED: u32 = 1;
/// RTS is high while sending.
const RS485_RTS_ON_SEND: u32 = 1 << 1;

impl Port {
    /// Lets the kernel turn an RS-485 line round for each frame: RTS is up while it sends.
    ///
    /// # Errors
    /// When the driver cannot: most USB adapters do it by themselves and know nothing of it.
    #[allow(unsafe_code, reason = "no safe wrapper of TIOCSRS485 is in the tree")]
    pub(crate) fn turn_round(&self) -> io::Result<()> {
        use std::os::fd::AsRawFd;
        let settings = SerialRs485 { flags: RS485_ENABLED | RS485_RTS_ON_SEND, delay_before_send_ms: 0, delay_after_send_ms: 0, padding: [0; 5] };
        // SAFETY: the request takes a pointer to a whole `serial_rs485`, which lives through the call; the descriptor is open as long as `self` is.
        let outcome = unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCSRS485, &raw const settings) };
        if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

fn look(path: &Path) -> io::Result<Device> {
    let meta = std::fs::metadata(path)?;
    Ok(Device { dev: meta.dev(), inode: meta.ino(), rdev: meta.rdev() })
}

fn explain(error: &tokio_serial::Error) -> String {
    match error.kind() {
        ErrorKind::Io(io::ErrorKind::NotFound) => "no such device: check the plug and the path".to_owned(),
        ErrorKind::Io(io::ErrorKind::PermissionDenied) => "no permission: the service's user must be in the device's group (dialout)".to_owned(),
        ErrorKind::NoDevice => "another program holds the port".to_owned(),
        _ => format!("cannot be opened as a serial port: {error}"),
    }
}

fn data_bits(bits: u8) -> DataBits {
    match bits {
        5 => DataBits::Five,
        6 => DataBits::Six,
        7 => DataBits::Seven,
        _ => DataBits::Eight,
    }
}

fn parity(parity: Parity) -> tokio_serial::Parity {
    match parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    }
}

fn stop_bits(bits: StopBits) -> tokio_serial::StopBits {
    match bits {
        StopBits::One => tokio_serial::StopBits::One,
        StopBits::Two => tokio_serial::StopBits::Two,
    }
}

fn flow(flow: Flow) -> FlowControl {
    match flow {
        Flow::None => FlowControl::None,
        Flow::Software => FlowControl::Software,
        Flow::Hardware => FlowControl::Hardware,
    }
}
