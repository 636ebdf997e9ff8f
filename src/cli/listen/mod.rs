//! `limegate listen`: what comes over a serial port, and what it could be. Reads only.

mod answer;
mod live;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Exit, Global, notice, ports, quietly};
use crate::codec::guess::Recording;
use crate::codec::{Line, Parity, Profile, StopBits};
use crate::listen::{OpenError, Port, Search};
use crate::ports::{Holders, System};
use crate::words::{Language, tools as words};

/// `limegate listen`
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// The port; `limegate ports` lists them.
    #[arg(long)]
    port: PathBuf,
    /// Decode as this reader profile: a built-in name or a file.
    #[arg(long, value_name = "NAME|FILE", conflicts_with = "guess")]
    profile: Option<String>,
    /// Try all profiles and line settings and say which fit.
    #[arg(long)]
    guess: bool,
    /// Bits a second; default: the profile's, else 9600. With --guess: only this speed.
    #[arg(long, value_name = "BITS")]
    baud: Option<u32>,
    /// Data bits, parity and stop bits: 8N1, 7E1, 8N2.
    #[arg(long, value_name = "8N1")]
    line: Option<String>,
    /// Stop after this time: 10s, 2m.
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Option<Duration>,
    /// The card's number as Lime, another reader or the print on it has it: says which order of bytes gives it.
    #[arg(long, value_name = "NUMBER")]
    compare: Option<String>,
    /// Show whole card numbers, also in the bytes.
    #[arg(long)]
    show_cards: bool,
}

/// `10s`, `2m`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..) {
        Some("ms") => 1,
        Some("s" | "") => 1_000,
        Some("m" | "min") => 60_000,
        _ => return Err("write 10s, 2m or 500ms".to_owned()),
    };
    let number = digits.parse::<u64>().map_err(|_| "write 10s, 2m or 500ms".to_owned())?;
    Ok(Duration::from_millis(number.saturating_mul(unit)))
}

pub(super) fn run(global: &Global, args: &ListenArgs) -> Exit {
    let (language, _) = quietly(global);
    let profile = match &args.profile {
        Some(name) => match load(name, language) {
            Ok(profile) => Some(profile),
            Err(exit) => return exit,
        },
        None => None,
    };
    let frame = match args.line.as_deref().map(|text| framing(text).ok_or(text)).transpose() {
        Ok(frame) => frame,
        Err(text) => {
            notice(&words::BAD_LINE.with("line", text).text(language));
            return Exit::Usage;
        }
    };
    let mut line = profile.as_ref().map_or(Line::COMMON, |profile| profile.line);
    line.baud = args.baud.unwrap_or(line.baud);
    if let Some((data_bits, parity, stop_bits)) = frame {
        line = Line { data_bits, parity, stop_bits, ..line };
    }
    let system = System::of_this_box();
    let device = system.device_of(&args.port);
    let holders = Holders::look(&system);
    let others: Vec<_> = holders.of(&device).iter().filter(|one| one.pid != std::process::id()).cloned().collect();
    let port = args.port.display().to_string();
    let known = args.baud.is_some() || args.line.is_some();
    let profiles = || Profile::builtin_names().into_iter().filter_map(Profile::builtin).collect::<Vec<_>>();
    let search = args.guess.then(|| Search::new(profiles(), known.then_some(line)));
    let line = search.as_ref().map_or(line, Search::line);
    super::block_on(async {
        let opened = match Port::open(&device, line) {
            Ok(opened) => opened,
            Err(OpenError::Held(_)) if !others.is_empty() => {
                if let Some(gateway) = others.iter().find(|one| one.is_gateway(&system)) {
                    notice(&words::GATEWAY_HOLDS.with("port", port).with("pid", gateway.pid.to_string()).text(language));
                    return Exit::TryAgain;
                }
                notice(&words::OTHER_HOLDS.with("port", port).with("holders", ports::named(&others)).text(language));
                return Exit::TryAgain;
            }
            Err(error) => return refused(&port, &error, language),
        };
        if !others.is_empty() {
            notice(&words::SHARED.with("port", port.as_str()).with("holders", ports::named(&others)).text(language));
        }
        let mut live = live::Live::new(opened, &port, line, profile, search, args, global, language);
        let lost = live.listen(args.time).await;
        let heard: Vec<Recording> = live.recordings();
        let exit = answer::tell(&live, &heard, &profiles(), args, global, language);
        match lost {
            Some(why) => {
                notice(&words::LOST.with("port", port).with("why", why).text(language));
                Exit::TryAgain
            }
            None => exit,
        }
    })
}

fn load(name: &str, language: Language) -> Result<Profile, Exit> {
    if let Some(profile) = Profile::builtin(name) {
        return Ok(profile);
    }
    if !name.contains(['/', '.']) {
        let known = Profile::builtin_names().join(", ");
        notice(&words::NO_PROFILE.with("profile", name).with("known", known).text(language));
        return Err(Exit::Usage);
    }
    Profile::load(name).map_err(|error| {
        notice(&words::BAD_PROFILE.with("profile", name).with("why", error.to_string()).text(language));
        Exit::Usage
    })
}

fn framing(text: &str) -> Option<(u8, Parity, StopBits)> {
    let [data @ b'5'..=b'8', parity, stop] = text.as_bytes() else { return None };
    let parity = match parity.to_ascii_uppercase() {
        b'N' => Parity::None,
        b'E' => Parity::Even,
        b'O' => Parity::Odd,
        _ => return None,
    };
    let stop = match stop {
        b'1' => StopBits::One,
        b'2' => StopBits::Two,
        _ => return None,
    };
    Some((data - b'0', parity, stop))
}

fn refused(port: &str, error: &OpenError, language: Language) -> Exit {
    let text = match error {
        OpenError::Missing(_) => words::MISSING.with("port", port),
        OpenError::NotAllowed(_) => words::NOT_ALLOWED.with("port", port),
        OpenError::Held(_) => words::SOMEBODY_HOLDS.with("port", port),
        OpenError::Broken(_, why) => words::BROKEN.with("port", port).with("why", why.to_string()),
    };
    notice(&text.text(language));
    Exit::TryAgain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_lines_are_read_as_people_write_them() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(
            (duration("2m"), duration("500ms"), duration("7")),
            (Ok(Duration::from_secs(120)), Ok(Duration::from_millis(500)), Ok(Duration::from_secs(7)))
        );
        assert!(duration("soon").is_err() && duration("10h").is_err());
        assert_eq!(framing("7e1"), Some((7, Parity::Even, StopBits::One)));
        assert_eq!(framing("8N2"), Some((8, Parity::None, StopBits::Two)));
        assert!(framing("9N1").is_none() && framing("8X1").is_none() && framing("8N").is_none());
    }
}
