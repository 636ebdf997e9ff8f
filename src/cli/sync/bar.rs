//! A progress bar on a terminal, a plain line every ten seconds elsewhere. On standard error, so that a result can be piped.

use std::io::{IsTerminal, Write};

/// Between two lines where there is no terminal, milliseconds.
const EVERY_MS: u64 = 10_000;

/// Cells of the bar.
const CELLS: u64 = 24;

/// Shows how far something is.
pub(super) struct Bar {
    terminal: bool,
    silent: bool,
    shown_ms: Option<u64>,
    width: usize,
}

impl Bar {
    /// `silent`: for machines.
    pub(super) fn new(silent: bool) -> Self {
        let width = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(100, |size| usize::from(size.ws_col).max(40));
        Self { terminal: std::io::stderr().is_terminal(), silent, shown_ms: None, width }
    }

    /// Shows a line; with a bar in front where the whole is known.
    pub(super) fn show(&mut self, now_ms: u64, progress: Option<(u64, u64)>, text: &str) {
        if self.silent || (!self.terminal && self.shown_ms.is_some_and(|shown| now_ms.saturating_sub(shown) < EVERY_MS)) {
            return;
        }
        self.shown_ms = Some(now_ms);
        let line = match progress {
            Some((done, all)) if self.terminal => format!("{} {text}", drawn(done, all)),
            _ => text.to_owned(),
        };
        let mut out = std::io::stderr().lock();
        // A reader that has left is no error.
        let _ = if self.terminal {
            let short: String = line.chars().take(self.width.saturating_sub(1)).collect();
            write!(out, "\r\u{1b}[K{short}").and_then(|()| out.flush())
        } else {
            writeln!(out, "{line}")
        };
    }

    /// The line is done with.
    pub(super) fn end(&self) {
        if self.terminal && !self.silent && self.shown_ms.is_some() {
            let _ = writeln!(std::io::stderr().lock());
        }
    }
}

fn drawn(done: u64, all: u64) -> String {
    let full = done.saturating_mul(CELLS).checked_div(all).unwrap_or(CELLS).min(CELLS);
    let cell = |at: u64| if at < full { '█' } else { '░' };
    (0..CELLS).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_the_work_is_done() {
        let full = |done, all| drawn(done, all).chars().filter(|cell| *cell == '█').count();
        assert_eq!([full(0, 100), full(50, 100), full(100, 100), full(0, 0), full(7, 5)], [0, 12, 24, 24, 24]);
    }
}
