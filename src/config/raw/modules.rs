//! `[[module]]` as typed.

use super::super::read::{At, choice, table};

table! {
    /// An I/O module or gate board.
    Module = "[[module]]" {
        /// Names the module. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// For people. Default: the id.
        title: At<String>,
        /// "gate-board-7e", the name of a shipped module map, or the path of a map of your own.
        #[schemars(required)]
        kind: At<String>,
        /// The serial port; better by /dev/serial/by-id than by number. Modules of one line name the same port.
        port: At<String>,
        /// The module's address on its line.
        #[schemars(range(min = 0, max = 255))]
        address: At<u32>,
        /// Overrides the map's line speed.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// Overrides the map's parity.
        parity: At<LineParity>,
        /// Overrides the map's stop bits.
        #[schemars(range(min = 1, max = 2))]
        stop_bits: At<u32>,
        /// The kernel turns the RS-485 line round for each frame: for ports whose adapter does not do it by itself. Default: as the board's file says of the port, else false.
        rs485: At<bool>,
        /// With "wirenboard-mqtt" and "shelly": the device, as its topics name it.
        device: At<String>,
        /// With "mqtt-json": what the device's topics begin with.
        topic: At<String>,
        /// With "wirenboard-mqtt": the relays' controls, output 0 first. Default: K1 to K6.
        outputs: Vec<At<String>>,
        /// With "wirenboard-mqtt": the contacts' controls, input 0 first. Default: "Input 0" to "Input 6".
        inputs: Vec<At<String>>,
        /// With "wirenboard-mqtt": the counters' controls, counter 0 first. Default: "Input 0 counter" to "Input 6 counter".
        counters: Vec<At<String>>,
    }
}

choice! {
    /// Parity of a line.
    LineParity {
        /// None.
        None = "none",
        /// Even.
        Even = "even",
        /// Odd.
        Odd = "odd",
    }
}
