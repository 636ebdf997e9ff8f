//! What listening came to: counts, the profiles that fit, the orders of bytes, and the lines for the config.

use serde_json::{Value as Json, json};

use super::live::{Live, medium_text};
use super::{Exit, ListenArgs};
use crate::cli::{Global, notice, out};
use crate::codec::guess::{Certainty, Fit, Ordered, Recording, fits};
use crate::codec::{Profile, UidOrder};
use crate::listen::{Match, matches};
use crate::words::{Language, Value, Word, tools as words};

/// Fits that are listed with numbers of their own.
const LISTED: usize = 5;

pub(super) fn tell(live: &Live<'_>, heard: &[Recording], profiles: &[Profile], args: &ListenArgs, global: &Global, language: Language) -> Exit {
    let searched = live.searched();
    let found = match (&searched, live.profile()) {
        (Some(found), _) => found.clone(),
        (None, Some(profile)) => fits(heard, std::slice::from_ref(profile)),
        (None, None) => fits(heard, profiles),
    };
    let orders = found.first().and_then(|best| heard.iter().rev().map(|one| best.orders(one)).find(|orders| !orders.is_empty())).unwrap_or_default();
    let compared = args.compare.as_ref().map(|number| matches(number, &all_orders(&found, heard)));
    if global.json {
        out(&as_json(live, &found, &orders, compared, args, language).to_string());
    } else {
        text(live, &found, &orders, compared, args, language);
    }
    match (live.counts.bytes, searched.is_some() || live.profile().is_some(), found.is_empty()) {
        (0, true, _) => Exit::TryAgain,
        (_, true, true) => Exit::Problems,
        _ => Exit::Fine,
    }
}

/// For a comparison one order is as good as several that differ.
fn all_orders(found: &[Fit], heard: &[Recording]) -> Vec<Ordered> {
    let Some(best) = found.first() else { return Vec::new() };
    let turned: Vec<Ordered> = heard.iter().flat_map(|one| best.orders(one)).collect();
    if turned.is_empty() { vec![Ordered { order: UidOrder::AsIs, media: best.media.clone() }] } else { turned }
}

fn text(live: &Live<'_>, found: &[Fit], orders: &[Ordered], compared: Option<Option<(UidOrder, Match)>>, args: &ListenArgs, language: Language) {
    let counts = live.counts;
    if counts.bytes == 0 {
        notice(&words::NOTHING_HEARD.text(language));
        return;
    }
    if live.profile().is_some() {
        let sum = words::SUM
            .with("bytes", Value::Count(counts.bytes))
            .count("frames", counts.frames)
            .count("bad", counts.bad)
            .count("damaged", counts.damaged);
        out(&sum.text(language));
    }
    let Some(best) = found.first() else {
        out(&words::NOTHING_FITS.with("bytes", Value::Count(counts.bytes)).text(language));
        return;
    };
    out(&fit_line(best, language));
    let alike: Vec<&str> = found.iter().skip(1).filter(|fit| fit.reads_like(best)).map(|fit| fit.profile.name.as_str()).collect();
    if !alike.is_empty() {
        out(&format!("  {}", words::SAME_AS.with("profiles", alike.join(", ")).text(language)));
    }
    for fit in found.iter().filter(|fit| fit.writes() && fit.reads_like(best)) {
        out(&format!("  {}", words::WAITS.with("profile", fit.profile.name.as_str()).text(language)));
    }
    for fit in found.iter().skip(1).filter(|fit| !fit.reads_like(best)).take(LISTED) {
        let name = if fit.line == best.line { fit.profile.name.clone() } else { format!("{} ({})", fit.profile.name, fit.line) };
        let valid = words::VALID_AS.with("profile", name).count("frames", fit.frames).count("all", fit.all_frames());
        let media: Vec<String> = fit.media.iter().take(2).map(|one| medium_text(&one.medium, args.show_cards)).collect();
        out(&format!("  {}: {}", valid.text(language), media.join(", ")));
    }
    if !orders.is_empty() {
        out(&words::ORDERS.text(language));
        for one in orders {
            let media: Vec<String> = one.media.iter().take(3).map(|one| medium_text(&one.medium, args.show_cards)).collect();
            out(&format!("  {:<9} {}", one.order.as_str(), media.join("  ")));
        }
    }
    if let (Some(compared), Some(number)) = (compared, &args.compare) {
        out(&match compared {
            Some((order, how)) => {
                words::COMPARED.with("number", number.as_str()).with("order", order.as_str()).with("how", how_word(how)).text(language)
            }
            None => words::NOT_COMPARED.with("number", number.as_str()).text(language),
        });
    }
    if live.profile().is_none() {
        for line in config_lines(best, args, language) {
            out(&line);
        }
    }
    if !args.show_cards {
        notice(&words::MASKED.text(language));
    }
}

fn fit_line(fit: &Fit, language: Language) -> String {
    let title = match language {
        Language::Ru => &fit.profile.title.ru,
        Language::En => &fit.profile.title.en,
    };
    let certainty = match fit.certainty {
        Certainty::Sure => words::SURE,
        Certainty::Likely => words::LIKELY,
        Certainty::Possible => words::POSSIBLE,
    };
    let text = words::FIT.with("frames", Value::Count(fit.frames)).count("all", fit.all_frames()).with("line", fit.line.to_string());
    text.with("profile", fit.profile.name.as_str()).with("title", title.as_str()).with("certainty", certainty).text(language)
}

fn how_word(how: Match) -> Word {
    match how {
        Match::Hex => words::BY_HEX,
        Match::Decimal => words::BY_DECIMAL,
        Match::Wiegand26 => words::BY_WIEGAND,
    }
}

/// What to write into `[[gate]]`.
fn config_lines(best: &Fit, args: &ListenArgs, language: Language) -> Vec<String> {
    let usual = best.profile.line;
    let mut lines =
        vec![words::FOR_CONFIG.text(language), format!("  reader = \"{}\"", best.profile.name), format!("  port   = \"{}\"", args.port.display())];
    if best.line.baud != usual.baud {
        lines.push(format!("  baud   = {}   # {}", best.line.baud, words::BAUD_NOTE.text(language)));
    }
    if (best.line.data_bits, best.line.parity) != (usual.data_bits, usual.parity) {
        lines.push(format!("  # {}", words::LINE_NOTE.with("line", best.line.to_string()).text(language)));
    }
    lines
}

fn as_json(live: &Live<'_>, found: &[Fit], orders: &[Ordered], compared: Option<Option<(UidOrder, Match)>>, args: &ListenArgs, _: Language) -> Json {
    let media = |media: &[crate::codec::Presented]| media.iter().map(|one| medium_text(&one.medium, args.show_cards)).collect::<Vec<_>>();
    let found: Vec<Json> = found
        .iter()
        .map(|fit| {
            json!({
                "profile": fit.profile.name, "line": fit.line.to_string(), "baud": fit.line.baud, "certainty": fit.certainty,
                "frames": fit.frames, "all_frames": fit.all_frames(), "damaged": fit.damaged, "rests": fit.rests,
                "waits_for_answer": fit.profile.answers.is_some(), "writes": fit.writes(), "media": media(&fit.media),
            })
        })
        .collect();
    let orders: serde_json::Map<String, Json> = orders.iter().map(|one| (one.order.as_str().to_owned(), json!(media(&one.media)))).collect();
    let compared =
        compared.map(|found| found.map_or(json!({ "uid_order": null }), |(order, how)| json!({ "uid_order": order.as_str(), "how": how })));
    let counts = live.counts;
    json!({
        "v": 1, "event": "summary", "bytes": counts.bytes, "frames": counts.frames, "bad": counts.bad, "damaged": counts.damaged,
        "fits": found, "uid_orders": orders, "compared": compared,
    })
}
