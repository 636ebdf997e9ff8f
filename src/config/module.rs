//! `[[module]]` as the gateway uses it. A new kind of module is a variant of [`ModuleKind`], what it says in the methods here, and its keys in `modules.rs`.

use std::path::PathBuf;

use super::mqtt_modules;
use crate::board::{Board, Line};
use crate::codec::{Line as SerialLine, ModuleMap};

/// An I/O module or gate board.
#[derive(Clone, Debug)]
pub struct Module {
    /// Names the module.
    pub id: String,
    /// For people; default the id.
    pub title: String,
    /// What it is and how it is reached.
    pub kind: ModuleKind,
}

/// What a module is and how it is reached.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a few for each box")]
pub enum ModuleKind {
    /// It speaks Modbus RTU; `kind` names its map.
    Modbus {
        /// Its map.
        map: ModuleMap,
        /// Its line.
        line: BusLine,
        /// Its address, 1 to 247.
        address: u8,
    },
    /// A gate board of the 7E/7F family. Output 0 and counter 0 are its left side, 1 its right.
    GateBoard {
        /// Its line.
        line: BusLine,
        /// Its machine number, 0 to 255.
        address: u8,
    },
    /// The board's own pins.
    Gpio(GpioLines),
    /// A device of Wiren Board's conventions, behind the broker.
    WirenBoard(WirenBoard),
    /// A Shelly of the second generation or later, behind the broker.
    Shelly {
        /// Its topic prefix.
        prefix: String,
    },
    /// A device that speaks the gateway's own JSON, behind the broker. Input 0 stands for the passages that it reports.
    MqttJson {
        /// What its topics begin with.
        topic: String,
    },
}

/// The board's own lines, by the numbers that a gate's wiring names them by: the board's relays are the outputs, from 0, its contacts the inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpioLines {
    /// Relays.
    pub outputs: Vec<Line>,
    /// Contacts.
    pub inputs: Vec<Line>,
    /// Lit when a guest may go.
    pub green: Option<Line>,
    /// Lit when a guest may not.
    pub red: Option<Line>,
    /// Heard with both.
    pub buzzer: Option<Line>,
}

impl GpioLines {
    /// Those of a board.
    #[must_use]
    pub fn of(board: &Board) -> Self {
        let led = |name: &str| board.led.iter().find(|led| led.name == name).cloned();
        let (outputs, inputs) = (board.relay.clone(), board.input.clone());
        Self { outputs, inputs, green: led("green"), red: led("red"), buzzer: board.buzzer.first().cloned() }
    }
}

/// The controls of a Wiren Board device, by the numbers that a gate's wiring names them by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WirenBoard {
    /// The device's id in `/devices/<id>`.
    pub device: String,
    /// Relays: the first is output 0.
    pub outputs: Vec<String>,
    /// Contacts: the first is input 0.
    pub inputs: Vec<String>,
    /// Counters: the first is counter 0.
    pub counters: Vec<String>,
}

impl WirenBoard {
    /// Named as the driver of Wiren Board's controllers names those of a WB-MR6C: relay K1 is output 0, input and counter 0 to 6 are the labels on the module.
    #[must_use]
    pub fn mr6c(device: &str) -> Self {
        Self {
            device: device.to_owned(),
            outputs: (1..=6).map(|n| format!("K{n}")).collect(),
            inputs: (0..=6).map(|n| format!("Input {n}")).collect(),
            counters: (0..=6).map(|n| format!("Input {n} counter")).collect(),
        }
    }
}

/// A serial line that modules share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusLine {
    /// The port.
    pub port: PathBuf,
    /// Its settings.
    pub settings: SerialLine,
    /// The kernel turns the line round for each frame (TIOCSRS485).
    pub rs485: bool,
}

/// A point of a module, as gates are wired to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// An output.
    Output(u16),
    /// A contact.
    Input(u16),
    /// A pulse counter.
    Counter(u16),
}

/// `kind` of a gate board.
pub(super) const GATE_BOARD: &str = "gate-board-7e";
/// `kind` of the board's own pins.
pub(super) const GPIO: &str = "gpio";

impl ModuleKind {
    /// The line and the address on it, for kinds that are on one.
    #[must_use]
    pub fn on_line(&self) -> Option<(&BusLine, u8)> {
        match self {
            Self::Modbus { line, address, .. } | Self::GateBoard { line, address } => Some((line, *address)),
            Self::Gpio(_) | Self::WirenBoard(_) | Self::Shelly { .. } | Self::MqttJson { .. } => None,
        }
    }

    /// Whether the module is reached through the broker.
    #[must_use]
    pub fn is_behind_broker(&self) -> bool {
        matches!(self, Self::WirenBoard(_) | Self::Shelly { .. } | Self::MqttJson { .. })
    }
}

impl Module {
    /// `kind`, as the config names it.
    #[must_use]
    pub fn kind_name(&self) -> &str {
        match &self.kind {
            ModuleKind::Modbus { map, .. } => &map.name,
            ModuleKind::GateBoard { .. } => GATE_BOARD,
            ModuleKind::Gpio(_) => GPIO,
            ModuleKind::WirenBoard(_) => mqtt_modules::WIREN_BOARD,
            ModuleKind::Shelly { .. } => mqtt_modules::SHELLY,
            ModuleKind::MqttJson { .. } => mqtt_modules::MQTT_JSON,
        }
    }

    /// Whether the module has this point.
    #[must_use]
    pub fn has(&self, point: Point) -> bool {
        let (Point::Output(number) | Point::Input(number) | Point::Counter(number)) = point;
        // What such a device has only it knows.
        if matches!((&self.kind, point), (ModuleKind::Shelly { .. }, _) | (ModuleKind::MqttJson { .. }, Point::Output(_))) {
            return true;
        }
        self.like(point).iter().any(|(known, _)| *known == number)
    }

    /// All points of the module that are of the same sort as this one: number, and what is printed beside it.
    #[must_use]
    pub fn like(&self, point: Point) -> Vec<(u16, String)> {
        match (&self.kind, point) {
            (ModuleKind::Modbus { map, .. }, Point::Output(_)) => map.outputs.iter().map(|one| (one.number, one.label.clone())).collect(),
            (ModuleKind::Modbus { map, .. }, Point::Input(_)) => map.inputs.iter().map(|one| (one.number, one.label.clone())).collect(),
            (ModuleKind::Modbus { map, .. }, Point::Counter(_)) => map.counters.iter().map(|one| (one.number, one.label.clone())).collect(),
            (ModuleKind::GateBoard { .. }, Point::Output(_) | Point::Counter(_)) => vec![(0, "left".to_owned()), (1, "right".to_owned())],
            (ModuleKind::Gpio(lines), Point::Output(_)) => numbered(&lines.outputs.iter().map(label).collect::<Vec<_>>()),
            (ModuleKind::Gpio(lines), Point::Input(_)) => numbered(&lines.inputs.iter().map(label).collect::<Vec<_>>()),
            (ModuleKind::Gpio(_), Point::Counter(_)) => Vec::new(),
            (ModuleKind::WirenBoard(names), Point::Output(_)) => numbered(&names.outputs),
            (ModuleKind::WirenBoard(names), Point::Input(_)) => numbered(&names.inputs),
            (ModuleKind::WirenBoard(names), Point::Counter(_)) => numbered(&names.counters),
            (ModuleKind::MqttJson { .. }, Point::Input(_)) => vec![(0, "pass".to_owned())],
            (ModuleKind::GateBoard { .. }, Point::Input(_)) | (ModuleKind::Shelly { .. }, _) | (ModuleKind::MqttJson { .. }, _) => Vec::new(),
        }
    }
}

/// What stands beside a line, and its name in the kernel.
fn label(line: &Line) -> String {
    line.kernel_name.as_ref().map_or_else(|| line.name.clone(), |kernel| format!("{}, {kernel}", line.name))
}

fn numbered(names: &[String]) -> Vec<(u16, String)> {
    names.iter().enumerate().filter_map(|(number, name)| Some((u16::try_from(number).ok()?, name.clone()))).collect()
}
