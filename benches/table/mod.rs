//! The table that every bench prints its part of: what, measured, promised, whether it holds, and which bench says so.

use std::process::ExitCode;

/// What the README says of a figure.
#[derive(Clone, Copy)]
pub enum Promised {
    AtLeast(f64),
    AtMost(f64),
    /// Nothing: the figure is a remark.
    Nothing,
}

pub struct Table {
    from: &'static str,
    broken: usize,
}

impl Table {
    /// `from` is the bench's file.
    pub fn new(from: &'static str) -> Self {
        println!("| {:<58} | {:>10} | {:<8} | {:<3} | {:<20} |", "what", "measured", "promised", "", "from");
        println!("|{:-<60}|{:-<11}:|{:-<10}|{:-<5}|{:-<22}|", "", "", "", "", "");
        Self { from, broken: 0 }
    }

    /// A line, with so many digits behind the point.
    pub fn row(&mut self, what: &str, measured: f64, digits: usize, promised: Promised) {
        let (promise, kept) = match promised {
            Promised::AtLeast(bound) => (format!(">= {bound}"), Some(measured >= bound)),
            Promised::AtMost(bound) => (format!("<= {bound}"), Some(measured <= bound)),
            Promised::Nothing => (String::new(), None),
        };
        self.broken += usize::from(kept == Some(false));
        let verdict = kept.map_or("", |kept| if kept { "ok" } else { "NOT" });
        println!("| {what:<58} | {measured:>10.digits$} | {promise:<8} | {verdict:<3} | {:<20} |", self.from);
    }

    /// Fails when a promise was not kept.
    pub fn end(self) -> ExitCode {
        ExitCode::from(u8::from(self.broken > 0))
    }
}
