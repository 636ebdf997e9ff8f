//! Plays a script on a device and prints what happens, a JSON line an event.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::serial::{Simulator, Written};
use super::validator::{Acknowledged, Lost};
use super::{Action, Books, Family, Line, Presented, Validator};

/// Plays on a serial line.
pub(super) async fn on_line(simulator: &mut Simulator, lines: Vec<Line>, rng: &mut fastrand::Rng) -> io::Result<Books> {
    let mut last = None;
    for step in steps(lines) {
        match step.action {
            Action::Wait(pause) => tokio::time::sleep(pause).await,
            Action::Noise(count) => {
                let bytes: Vec<u8> = (0..count).map(|_| rng.u8(..)).collect();
                simulator.write(&bytes).await?;
            }
            Action::Raw(bytes) => simulator.write(&bytes).await?,
            Action::Remove => simulator.remove().await?,
            Action::Again => {
                if let Some(written) = &last {
                    simulator.say_again(written).await?;
                }
            }
            Action::Present(medium) => last = Some(told(step.number, simulator.present(&text(medium, simulator.family(), rng)).await?)),
            Action::Hold(medium) => last = Some(told(step.number, simulator.hold(&text(medium, simulator.family(), rng)).await?)),
            Action::Split(pause, medium) => {
                last = Some(told(step.number, simulator.present_split(&text(medium, simulator.family(), rng), pause).await?));
            }
            Action::Repeat(..) => {}
        }
    }
    Ok(simulator.books())
}

/// Plays as a validator. Bytes mean nothing to it; `hold` is a presentation like any other.
pub(super) async fn as_validator(validator: &Validator, lines: Vec<Line>, rng: &mut fastrand::Rng, patience: Duration) -> Books {
    let mut books = Books::default();
    let mut open = JoinSet::new();
    let mut last: Option<Value> = None;
    for step in steps(lines) {
        let repeated = matches!(step.action, Action::Again);
        let message = match step.action {
            Action::Wait(pause) => {
                tokio::time::sleep(pause).await;
                None
            }
            Action::Again => last.clone(),
            Action::Present(medium) | Action::Hold(medium) | Action::Split(_, medium) => Some(message(medium, rng)),
            Action::Noise(_) | Action::Raw(_) | Action::Remove | Action::Repeat(..) => None,
        };
        if let Some(message) = message {
            books.presented += u64::from(!repeated);
            books.sent += 1;
            let published = validator.publish(&message);
            last = Some(message);
            open.spawn(async move { (step.number, repeated, published.await) });
        }
        while let Some(Ok(ended)) = open.try_join_next() {
            acknowledged(ended, &mut books);
        }
    }
    // What has no PUBACK by then is not acknowledged: the books say so.
    let _ = tokio::time::timeout(patience, async {
        while let Some(Ok(ended)) = open.join_next().await {
            acknowledged(ended, &mut books);
        }
    })
    .await;
    books.unanswered = books.presented - books.acknowledged;
    books
}

/// Repeats unrolled.
fn steps(lines: Vec<Line>) -> impl Iterator<Item = Line> {
    lines.into_iter().flat_map(|Line { number, action }| {
        let (times, every, action) = match action {
            Action::Repeat(times, every, action) => (times, every, *action),
            action => (1, Duration::ZERO, action),
        };
        let pause = (!every.is_zero()).then_some(Action::Wait(every));
        (0..times).flat_map(move |_| [Some(action.clone()), pause.clone()]).flatten().map(move |action| Line { number, action })
    })
}

fn text(medium: Presented, family: Family, rng: &mut fastrand::Rng) -> String {
    match medium {
        Presented::Card(text) | Presented::Code(text) => text,
        Presented::Random => family.random_medium(rng),
    }
}

fn message(medium: Presented, rng: &mut fastrand::Rng) -> Value {
    match medium {
        Presented::Card(card) => Validator::passed("card_uid", &card),
        Presented::Code(code) => Validator::passed("qr", &code),
        Presented::Random => Validator::passed("card_uid", &format!("{:08X}", rng.u32(..))),
    }
}

fn told(line: usize, written: Written) -> Written {
    say(
        &json!({ "line": line, "medium": written.medium, "bytes": written.bytes.len(), "sendings": written.sendings, "answer": written.answer, "took_ms": written.took_ms }),
    );
    written
}

fn acknowledged((line, repeated, result): (usize, bool, Result<Acknowledged, Lost>), books: &mut Books) {
    if let Ok(ack) = result {
        books.acknowledged += u64::from(!repeated);
        say(&json!({ "line": line, "id": ack.id, "sendings": ack.sendings, "puback_after_ms": ack.took_ms }));
    }
}

/// A JSON line to standard output. Nobody reads it any more: then there is nobody to tell.
pub(super) fn say(value: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}
