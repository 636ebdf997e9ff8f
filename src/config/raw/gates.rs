//! `[[gate]]` as typed.

use super::super::read::{At, choice, table};
use super::{Door, SecretAt};

table! {
    /// A gate and the reader whose passes it takes.
    Gate = "[[gate]]" {
        /// Names the gate. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// For people.
        #[schemars(required, length(min = 1))]
        title: At<String>,
        /// Lime's id of this place. Several readers of one place may share it.
        #[schemars(required, length(min = 1))]
        service_point: At<String>,
        /// Which way guests go who pass here, where the device does not say. Default "in".
        direction: At<Direction>,
        /// The reader: "mqtt-json", "web-json", the name of a shipped profile, or the path of a profile of your own.
        #[schemars(required)]
        reader: At<String>,
        /// The serial port; better by /dev/serial/by-id than by number.
        port: At<String>,
        /// Overrides the profile's line speed.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// For a port on RS-485: true, the kernel turns the line round. Default as the board's file says of the port, else false.
        rs485: At<bool>,
        /// With "mqtt-json": the topic to read.
        topic: At<String>,
        /// With "web-json": the controller's serial number.
        serial_number: At<u32>,
        /// With "web-json": what shows that somebody went through. "passage": the controller's sensor; "none": it has none.
        evidence: At<EvidenceWord>,
        /// With "web-json": how many bytes of a card's twelve hex digits are its UID. Default: all are kept.
        #[schemars(range(min = 4, max = 6))]
        uid_bytes: At<u32>,
        /// True: a reader that gives 24 bits of a card's UID is taken, although different cards can share them. Default false.
        accept_short_uids: At<bool>,
        /// With "osdp": the reader's address, its key, and how its cards are read. Several gates may share a port then, each with its own address.
        osdp: At<Osdp>,
        /// "observe": the device decides and reports. "decide": this box does, and opens. Default "observe".
        mode: At<Mode>,
        /// With mode "decide": how to decide, what opens the gate and where a passage is seen.
        door: At<Door>,
    }
}

table! {
    /// An OSDP reader on an RS-485 line.
    Osdp = "osdp" {
        /// The reader's address on its line.
        #[schemars(required, range(max = 126))]
        address: At<u32>,
        /// Line speed; the same for all readers of a line. Default 9600.
        #[schemars(range(min = 300, max = 4_000_000))]
        baud: At<u32>,
        /// The reader's own key, 32 hex digits; `limegate osdp provision` gives it to the reader. Without one the line is not encrypted.
        key: At<SecretAt>,
        /// How frames are checked; the same for all readers of a line. Default "crc".
        check: At<OsdpCheck>,
        /// Which bits of a card are its number. Default "standard".
        layout: At<CardLayout>,
        /// In which order the bytes of a card are kept, so that a card read by two kinds of reader is one. Default "as_is".
        uid_order: At<CardOrder>,
        /// Take cards of 26 bits, too: many different cards share one such number. Default false.
        wiegand26: At<bool>,
        /// What a reader that sends characters reads. Default "card".
        text: At<CardText>,
    }
}

choice! {
    /// How frames are checked.
    OsdpCheck {
        /// A CRC of two bytes.
        Crc = "crc",
        /// One byte, for old readers.
        Checksum = "checksum",
    }
}

choice! {
    /// Which bits of a card are its number.
    CardLayout {
        /// 26, 34, 37 and 58 bits are Wiegand with parity; whole bytes are a UID; nothing else is taken.
        Standard = "standard",
        /// All of them.
        Raw = "raw",
    }
}

choice! {
    /// In which order the bytes of a card are kept.
    CardOrder {
        /// As the reader sends them.
        AsIs = "as_is",
        /// Last byte first.
        Reversed = "reversed",
        /// Four bytes as they are, longer ones last byte first.
        Mixed7 = "mixed7",
    }
}

choice! {
    /// What characters from a reader are.
    CardText {
        /// The hex digits of a card's UID.
        Card = "card",
        /// A barcode.
        Barcode = "barcode",
        /// A QR code.
        Qr = "qr",
    }
}

choice! {
    /// What shows that somebody went through at a controller.
    EvidenceWord {
        /// Its sensor.
        Passage = "passage",
        /// Nothing.
        None = "none",
    }
}

choice! {
    /// Who decides at a gate.
    Mode {
        /// The device does, and reports.
        Observe = "observe",
        /// This box does, and opens.
        Decide = "decide",
    }
}

choice! {
    /// Which way guests go.
    Direction {
        /// Into the zone.
        In = "in",
        /// Out of it.
        Out = "out",
    }
}
