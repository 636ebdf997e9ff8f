//! Where the demo is shown: a live view on a terminal, plain lines elsewhere.

use std::io;

use jiff::tz::TimeZone;
use ratatui::DefaultTerminal;

use crate::cli::out;
use crate::tap::Event;

use super::model::Model;
use super::{plain, view};

/// The place to show things.
pub(super) struct Screen {
    terminal: Option<DefaultTerminal>,
    zone: TimeZone,
}

impl Screen {
    /// A live view, or plain lines.
    pub fn open(plain: bool) -> io::Result<Self> {
        let terminal = if plain { None } else { Some(ratatui::try_init()?) };
        Ok(Self { terminal, zone: TimeZone::system() })
    }

    /// Gives the terminal back.
    pub fn close(&mut self) {
        if self.terminal.take().is_some() {
            ratatui::restore();
        }
    }

    /// Draws the live view.
    pub fn draw(&mut self, model: &Model) -> io::Result<()> {
        if let Some(terminal) = &mut self.terminal {
            terminal.draw(|frame| view::draw(frame, model, &self.zone))?;
        }
        Ok(())
    }

    /// Something happened to the venue.
    pub fn say(&self, elapsed_ms: u64, text: &str) {
        if self.terminal.is_none() {
            out(&format!("{:>4} s  {text}", elapsed_ms / 1000));
        }
    }

    /// Something happened to a pass.
    pub fn event(&self, event: &Event) {
        if let (None, Event::Pass(pass)) = (&self.terminal, event) {
            let ms = pass.durable_us / 1000;
            let tenth = pass.durable_us % 1000 / 100;
            let time = plain::clock_text(pass.wall_ms, &self.zone);
            out(&format!("        {time}  {:<3} {:<12} durable in {ms}.{tenth} ms", pass.gate, pass.medium));
        }
    }

    /// The state in a line.
    pub fn line(&self, model: &Model) {
        if self.terminal.is_none() {
            out(&plain::state_line(model));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}
