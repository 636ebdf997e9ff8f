//! Covers in an excerpt of the file what may be a secret, so that a mistake beside it can be shown.
//!
//! Works byte for byte, so that places stay where they are, and rather covers too much than too little. Never: a token in a diagnostic.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::read::is_secret_key;

/// The text with whatever may be a secret covered. `document` is what could be parsed of it; lines that could not are judged by their key.
pub(super) fn masked(text: &str, document: &DeTable<'_>) -> String {
    let mut spans = Vec::new();
    table_spans(document, &mut spans);
    line_spans(text, &mut spans);
    let mut bytes = text.as_bytes().to_vec();
    for span in spans {
        for byte in bytes.get_mut(span).into_iter().flatten() {
            if !matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'') {
                *byte = b'*';
            }
        }
    }
    // Only whole values were covered, so this is text; if not, nothing is shown.
    String::from_utf8(bytes).unwrap_or_default()
}

/// Whether a text looks like a token, wherever it stands: long and without a space, a JSON web token, a webhook, a password in an address.
pub(super) fn looks_secret(text: &str) -> bool {
    let dense = text.len() >= 32 && !text.starts_with(['/', '.']) && !text.contains([' ', '/']) && text.is_ascii();
    let userinfo = text.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'));
    dense || userinfo || text.starts_with("eyJ") || text.contains("/rest/")
}

fn table_spans(table: &DeTable<'_>, spans: &mut Vec<Range<usize>>) {
    for (key, value) in table {
        value_spans(is_secret_key(key.get_ref()), value, spans);
    }
}

fn value_spans(secret: bool, value: &Spanned<DeValue<'_>>, spans: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::Table(table) if secret => {
            // `{ file = "x" }` names a place; anything else beside it is covered.
            for (key, value) in table {
                let place = matches!(key.get_ref().as_ref(), "file" | "env") && value.get_ref().is_str();
                value_spans(!place, value, spans);
            }
        }
        DeValue::Table(table) => table_spans(table, spans),
        DeValue::Array(items) => items.iter().for_each(|item| value_spans(secret, item, spans)),
        DeValue::String(text) if secret || looks_secret(text) => spans.push(value.span()),
        DeValue::Integer(_) | DeValue::Float(_) if secret => spans.push(value.span()),
        _ => {}
    }
}

/// For what the parser gave up on: after a secret's key, everything to the end of the line, or of the multi-line text that begins there.
fn line_spans(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let mut from = 0;
        while let Some(equals) = line.get(from..).and_then(|rest| rest.find('=')) {
            let (key, value) = (line.get(from..from + equals).unwrap_or_default(), line.get(from + equals + 1..).unwrap_or_default());
            let name = key.rsplit(['{', ',', '.', '[']).next().unwrap_or_default();
            let start = at + from + equals + 1;
            if is_secret_key(name.trim().trim_matches(['"', '\''])) && !names_a_place(value) {
                spans.push(start..end_of_value(text, start, at + line.len()));
                break;
            }
            from += equals + 1;
        }
        at += line.len();
    }
    token_spans(text, spans);
}

fn names_a_place(value: &str) -> bool {
    let inside = value.trim_start().strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|inside| {
        let named = ["file", "env"].iter().find_map(|word| inside.strip_prefix(word)).and_then(|rest| rest.trim_start().strip_prefix('='));
        named.is_some_and(|rest| rest.trim_start().starts_with(['"', '\'']))
    })
}

fn end_of_value(text: &str, start: usize, line_end: usize) -> usize {
    let value = text.get(start..).unwrap_or_default();
    let opened = value.trim_start_matches([' ', '\t']);
    for quote in ["\"\"\"", "'''"] {
        if let Some(inside) = opened.strip_prefix(quote) {
            let begin = text.len() - inside.len();
            return inside.find(quote).map_or(text.len(), |length| begin + length);
        }
    }
    line_end
}

/// Words that look like tokens, whatever stands around them.
fn token_spans(text: &str, spans: &mut Vec<Range<usize>>) {
    let mut at = 0;
    for word in text.split_inclusive(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '=' | '{' | '}' | '[' | ']' | '#')) {
        let bare = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | '=' | '{' | '}' | '[' | ']' | '#'));
        if bare.starts_with("eyJ") || bare.contains("/rest/") || (bare.contains("://") && looks_secret(bare)) {
            spans.push(at..at + bare.len());
        }
        at += word.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (document, _) = DeTable::parse_recoverable(text);
        let masked = masked(text, document.get_ref());
        assert_eq!(masked.len(), text.len(), "places move");
        masked
    }

    #[test]
    fn whatever_way_a_secret_is_written_it_is_covered() {
        for text in [
            "token = \"CANARY-1\"",
            "token = 'CANARY-1' # note",
            "[lime]\nToken = \"CANARY-1\"",
            "crm.token = \"CANARY-1\"",
            "\"token\" = \"CANARY-1\"",
            "token = \"\"\"\nCANARY-1\n\"\"\"",
            "token = \"\"\"\nCANARY-1\n",
            "token = '''CANARY-1",
            "token = \"CANARY-1",
            "token = CANARY-1",
            "token = { inline = \"CANARY-1\" }",
            "token = { file = \"x\", value = \"CANARY-1\" }",
            "token = { files = \"CANARY-1\" }",
            "token = { file = [\"CANARY-1\"] }",
            "oauth = { client_id = \"x\", client_secret = \"CANARY-1\" }",
            "oauth = { client_id = \"x\", client_secret = \"CANARY-1",
            "webhook = \"https://x.bitrix24.ru/rest/1/CANARY-1/\"",
            "url = \"https://x.bitrix24.ru/rest/1/CANARY-1/\"",
            "url = \"mqtt://user:CANARY-1@host\"",
            "tokn = [\"CANARY-1\"]",
            "tpken = \"eyJhbGciCANARY-1\"",
            "anything = \"0123456789abcdef0123456789abcdefCANARY-1\"",
            "пароль = \"CANARY-1\"",
            "password = 1\nx = https://a/rest/1/CANARY-1/",
        ] {
            assert!(!shown(text).contains("CANARY-1"), "{text} -> {}", shown(text));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "token = { file = \"lime-token\" }",
            "title = \"Батутный парк «Высота», вход Север, второй этаж\"",
            "port = \"/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_AB0KNUJC-if00-port0\"",
            "url = \"https://lime.vysota.example/gw/v1\"",
            "oauth = { client_id = \"x\", client_secret = { file = \"amo\" } }",
        ] {
            assert_eq!(shown(text), text);
        }
    }
}
