//! What the guest sees and hears at a reader: amber while waiting, green and one beep to go, red and three beeps for no, two lines of text where there is a
//! display. The reader keeps the time and goes back to what it shows at rest by itself.

use crate::codec::osdp::{Buzz, Color, Command, Led};
use crate::device::Told;

/// How long an answer is shown, tenths of a second.
const SHOWN: u16 = 30;
/// How long the guest is asked to wait at most, tenths of a second.
const WAIT: u16 = 20;
/// Lines of a display.
const LINES: usize = 2;

/// What a reader has to show it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Means {
    pub(super) led: bool,
    pub(super) buzzer: bool,
    pub(super) text: bool,
}

/// The commands that tell it.
pub(super) fn commands(told: &Told, means: Means) -> Vec<Command> {
    let (led, buzz, lines): (_, _, &[String]) = match told {
        Told::Wait => (Led::For { tenths: WAIT, on: 2, off: 2, color: Color::Amber }, None, &[]),
        Told::Go { lines } => (steady(Color::Green), Some(Buzz { on: 2, off: 1, times: 1 }), lines),
        Told::No { lines, .. } => (steady(Color::Red), Some(Buzz { on: 1, off: 1, times: 3 }), lines),
        Told::Ready => (Led::Rest, None, &[]),
    };
    let mut commands = Vec::new();
    if means.led {
        commands.push(Command::Led { number: 0, led });
    }
    commands.extend(buzz.filter(|_| means.buzzer).map(Command::Buzzer));
    if means.text {
        let shown = lines.iter().take(LINES).zip(1..).filter(|(line, _)| !line.is_empty() && line.is_ascii());
        commands.extend(shown.map(|(line, row)| Command::Text { row, seconds: u8::try_from(SHOWN / 10).unwrap_or(3), text: line.clone() }));
    }
    commands
}

fn steady(color: Color) -> Led {
    Led::For { tenths: SHOWN, on: 10, off: 0, color }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_is_told_only_with_what_it_has() {
        let go = Told::Go { lines: vec!["Welcome".to_owned(), "Добро пожаловать".to_owned()] };
        let all = Means { led: true, buzzer: true, text: true };
        assert_eq!(commands(&go, all).len(), 3, "a line that the display's characters cannot show is left out");
        assert_eq!(commands(&go, Means { led: true, buzzer: false, text: false }).len(), 1);
        assert!(commands(&Told::Ready, Means { led: false, ..all }).is_empty());
    }
}
