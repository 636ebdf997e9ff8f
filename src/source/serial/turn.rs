//! An RS-485 line whose transceiver does not turn round by itself: the kernel is asked to do it, each time the port is opened.

use std::path::Path;

use super::link::Link;

/// Whether that is to be done, and whether it was said that it cannot be.
#[derive(Debug)]
pub(crate) struct TurnRound {
    wanted: bool,
    said: bool,
}

impl TurnRound {
    /// `wanted`: as the config or the board's file says of the port.
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted, said: false }
    }

    /// The port has just been opened. Where the kernel cannot do it, that is said once, and the port is used as it is.
    pub(crate) fn opened(&mut self, link: &Link, port: &Path) {
        if !self.wanted {
            return;
        }
        match link.turn_round() {
            Ok(()) => self.said = false,
            Err(error) => {
                if !std::mem::replace(&mut self.said, true) {
                    let port = port.display();
                    tracing::warn!(%port, %error, "the kernel cannot turn this RS-485 line round; where the adapter does it by itself, set rs485 = false");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Line;
    use crate::source::serial::link::Happened;

    #[tokio::test]
    async fn the_kernel_is_asked_when_a_port_opens_and_a_port_that_cannot_is_used_as_it_is() {
        // A pseudo-terminal has no RTS.
        let (_reader, mut port) = serialport::TTYPort::pair().unwrap();
        port.set_exclusive(false).unwrap();
        let name = serialport::SerialPort::name(&port).unwrap();
        drop(port);
        let port = std::path::PathBuf::from(name);
        for (wanted, said) in [(false, false), (true, true)] {
            let (mut link, mut turn, mut buffer) = (Link::new(), TurnRound::new(wanted), [0; 8]);
            loop {
                match link.next(&port, Line::COMMON, None, &mut buffer, true, None).await {
                    Happened::Opened => turn.opened(&link, &port),
                    Happened::Up { .. } => break,
                    Happened::Lost(why) => panic!("{why}"),
                    Happened::Bytes(_) | Happened::Idle | Happened::Slow => {}
                }
            }
            assert_eq!(turn.said, said);
        }
    }
}
