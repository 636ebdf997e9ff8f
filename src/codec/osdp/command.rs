//! Commands to a reader, as bytes of data.

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Anything new?
    Poll,
    /// Who are you?
    Identity,
    /// What can you do?
    Capabilities,
    /// Tamper and power.
    LocalStatus,
    /// Inputs.
    InputStatus,
    /// Outputs.
    OutputStatus,
    /// Switches an output.
    Output {
        /// Which, from 0.
        number: u8,
        /// What it is to do.
        to: Output,
    },
    /// Lights an LED for a while.
    Led {
        /// Which, from 0.
        number: u8,
        /// How.
        led: Led,
    },
    /// Sounds the buzzer.
    Buzzer(Buzz),
    /// Shows a text for a while.
    Text {
        /// Row, from 1.
        row: u8,
        /// Seconds.
        seconds: u8,
        /// ASCII.
        text: String,
    },
    /// Gives the reader its key. Only inside a secured session.
    SetKey(super::Key),
    /// Begins a secured session, with the controller's random number.
    Challenge([u8; 8]),
    /// Proves that the controller has the key.
    Cryptogram([u8; 16]),
}

/// What an output is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Off, whatever was timed.
    Off,
    /// On for so many tenths of a second, then off by itself: the reader keeps the time.
    OnFor {
        /// Tenths of a second; at least 1.
        tenths: u16,
    },
}

/// Colour of an LED.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    /// Dark.
    Off = 0,
    /// Red.
    Red = 1,
    /// Green.
    Green = 2,
    /// Amber.
    Amber = 3,
    /// Blue.
    Blue = 4,
}

/// How an LED is lit for a while. Times are tenths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Led {
    /// Steady, or blinking where `off` is not 0.
    For {
        /// How long in all.
        tenths: u16,
        /// Time on in a period.
        on: u8,
        /// Time dark in a period.
        off: u8,
        /// The colour.
        color: Color,
    },
    /// Back to what the reader shows at rest.
    Rest,
}

/// What the buzzer does. Times are tenths of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buzz {
    /// Time on in a period; at least 1.
    pub on: u8,
    /// Time silent in a period.
    pub off: u8,
    /// Periods; at least 1.
    pub times: u8,
}

/// The longest text that is sent: two lines of a wide display.
const LONGEST_TEXT: usize = 32;

impl Command {
    /// The code of the command.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Poll => 0x60,
            Self::Identity => 0x61,
            Self::Capabilities => 0x62,
            Self::LocalStatus => 0x64,
            Self::InputStatus => 0x65,
            Self::OutputStatus => 0x66,
            Self::Output { .. } => 0x68,
            Self::Led { .. } => 0x69,
            Self::Buzzer(_) => 0x6A,
            Self::Text { .. } => 0x6B,
            Self::SetKey(_) => 0x75,
            Self::Challenge(_) => 0x76,
            Self::Cryptogram(_) => 0x77,
        }
    }

    /// The data behind the code.
    pub(super) fn data(&self) -> Vec<u8> {
        match self {
            Self::Poll | Self::LocalStatus | Self::InputStatus | Self::OutputStatus => Vec::new(),
            Self::Identity | Self::Capabilities => vec![0],
            Self::Output { number, to } => {
                let (code, tenths) = match to {
                    Output::Off => (1, 0),
                    Output::OnFor { tenths } => (5, (*tenths).max(1)),
                };
                let [low, high] = tenths.to_le_bytes();
                vec![*number, code, low, high]
            }
            Self::Led { number, led } => {
                let (control, on, off, color, tenths) = match led {
                    Led::Rest => (1, 0, 0, Color::Off, 0),
                    Led::For { tenths, on, off, color } => (2, (*on).max(1), *off, *color, *tenths),
                };
                let [low, high] = u16::to_le_bytes(tenths);
                // Reader 0; what it shows at rest (the last five bytes) is left alone.
                vec![0, *number, control, on, off, color as u8, Color::Off as u8, low, high, 0, 0, 0, 0, 0]
            }
            Self::Buzzer(buzz) => vec![0, 2, buzz.on.max(1), buzz.off, buzz.times.max(1)],
            Self::Text { row, seconds, text } => {
                let bytes: Vec<u8> = text.bytes().filter(|byte| (0x20..0x7F).contains(byte)).take(LONGEST_TEXT).collect();
                let mut data = vec![0, 3, *seconds, *row, 1, u8::try_from(bytes.len()).unwrap_or(0)];
                data.extend(bytes);
                data
            }
            Self::SetKey(key) => [&[1, 16], key.bytes().as_slice()].concat(),
            Self::Challenge(random) => random.to_vec(),
            Self::Cryptogram(cryptogram) => cryptogram.to_vec(),
        }
    }
}
