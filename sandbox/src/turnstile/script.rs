//! Scripts: one action a line.
//!
//! ```text
//! # a comment
//! card 170009593F            present a card and take it away
//! qr LG-48213-0007           show a code
//! hold 170009593F            present a card and leave it
//! remove                     take it away
//! random                     present some medium that the reader can read
//! split 30 card 170009593F   the telegram in two halves, 30 ms apart
//! again                      the same telegram or message once more
//! noise 64                   random bytes
//! raw 0D0A                   these bytes
//! wait 200                   milliseconds
//! repeat 100 every 50 random an action, 100 times, 50 ms apart
//! ```

use std::time::Duration;

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Present a medium and take it away.
    Present(Presented),
    /// Present a medium and leave it.
    Hold(Presented),
    /// Take it away.
    Remove,
    /// The telegram in two halves.
    Split(Duration, Presented),
    /// The last one once more.
    Again,
    /// So many random bytes.
    Noise(usize),
    /// These bytes.
    Raw(Vec<u8>),
    /// A pause.
    Wait(Duration),
    /// An action several times.
    Repeat(u64, Duration, Box<Action>),
}

/// A medium to present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented {
    /// A card, as hex.
    Card(String),
    /// A code.
    Code(String),
    /// Any that the reader can read.
    Random,
}

/// An action and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// What to do.
    pub action: Action,
}

/// A mistake in a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {text:?}: {what}")]
pub struct ScriptError {
    /// The line.
    pub number: usize,
    /// What it says.
    pub text: String,
    /// What is wrong.
    pub what: &'static str,
}

/// Reads a script.
///
/// # Errors
/// The first mistake.
pub fn parse(script: &str) -> Result<Vec<Line>, ScriptError> {
    let lines = script.lines().enumerate().map(|(at, line)| (at + 1, line.split('#').next().unwrap_or_default().trim()));
    lines
        .filter(|(_, text)| !text.is_empty())
        .map(|(number, text)| match action(text) {
            Ok(action) => Ok(Line { number, action }),
            Err(what) => Err(ScriptError { number, text: text.to_owned(), what }),
        })
        .collect()
}

fn action(text: &str) -> Result<Action, &'static str> {
    let (word, rest) = split(text);
    match word {
        "card" | "qr" | "random" => Ok(Action::Present(presented(text)?)),
        "hold" => Ok(Action::Hold(Presented::Card(one(rest, "a card is needed")?))),
        "remove" => Ok(Action::Remove),
        "again" => Ok(Action::Again),
        "wait" => Ok(Action::Wait(ms(rest)?)),
        "noise" => rest.parse().map(Action::Noise).map_err(|_| "a number of bytes is needed"),
        "raw" => hex(rest).map(Action::Raw).ok_or("hex digits are needed"),
        "split" => {
            let (pause, medium) = split(rest);
            Ok(Action::Split(ms(pause)?, presented(medium)?))
        }
        "repeat" => {
            let (times, rest) = split(rest);
            let times = times.parse().map_err(|_| "a number of times is needed")?;
            let (every, rest) = match split(rest) {
                ("every", rest) => {
                    let (every, rest) = split(rest);
                    (ms(every)?, rest)
                }
                _ => (Duration::ZERO, rest),
            };
            match action(rest)? {
                Action::Repeat(..) => Err("a repeat inside a repeat is not known"),
                action => Ok(Action::Repeat(times, every, Box::new(action))),
            }
        }
        _ => Err("known are: card, qr, hold, remove, random, split, again, noise, raw, wait, repeat"),
    }
}

fn presented(text: &str) -> Result<Presented, &'static str> {
    match split(text) {
        ("card", rest) => Ok(Presented::Card(one(rest, "a card is needed")?)),
        ("qr", rest) => Ok(Presented::Code(one(rest, "a code is needed")?)),
        ("random", "") => Ok(Presented::Random),
        _ => Err("card HEX, qr TEXT or random is needed"),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

fn one(text: &str, missing: &'static str) -> Result<String, &'static str> {
    if text.is_empty() { Err(missing) } else { Ok(text.to_owned()) }
}

fn ms(text: &str) -> Result<Duration, &'static str> {
    text.parse().map(Duration::from_millis).map_err(|_| "a number of milliseconds is needed")
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().filter(|digit| !digit.is_whitespace()).map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| !digits.is_empty() && digits.len() % 2 == 0)?;
    digits.as_chunks::<2>().0.iter().map(|[high, low]| u8::try_from(high * 16 + low).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(script: &str) -> Vec<Action> {
        parse(script).unwrap().into_iter().map(|line| line.action).collect()
    }

    #[test]
    fn each_word_is_understood() {
        let ms = Duration::from_millis;
        let card = || Presented::Card("AB".to_owned());
        assert_eq!(
            actions("# c\n\ncard AB\nqr a b # why\nhold AB\nremove\nrandom\nsplit 30 card AB\nagain\nnoise 64\nraw 0D 0a\nwait 5"),
            [
                Action::Present(card()),
                Action::Present(Presented::Code("a b".to_owned())),
                Action::Hold(card()),
                Action::Remove,
                Action::Present(Presented::Random),
                Action::Split(ms(30), card()),
                Action::Again,
                Action::Noise(64),
                Action::Raw(vec![13, 10]),
                Action::Wait(ms(5)),
            ]
        );
        assert_eq!(actions("repeat 3 random"), [Action::Repeat(3, ms(0), Box::new(Action::Present(Presented::Random)))]);
        assert_eq!(actions("repeat 3 every 50 card AB"), [Action::Repeat(3, ms(50), Box::new(Action::Present(card())))]);
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (script, number) in
            [("card", 1), ("wait 1\nwait long", 2), ("\ndance", 2), ("repeat 2 repeat 2 random", 1), ("split 3 wait 1", 1), ("raw 0", 1)]
        {
            assert_eq!(parse(script).unwrap_err().number, number, "{script}");
        }
    }
}
