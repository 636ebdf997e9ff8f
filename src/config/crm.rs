//! `[crm]`: which, how to authorise, and where passes go.

use std::ops::Range;

use super::addresses;
use super::check::{Checker, Named};
use super::diagnostic::Code;
use super::gates::does_not_apply;
use super::raw::{self, Kind};
use super::read::{At, shown};
use super::{AmoAuth, AmoCrm, Bitrix24, BitrixAuth, Crm, CrmKind, Language, PassesAs, StageRef};
use crate::words::config as text;

const TOKEN_SERVER: &str = "https://oauth.bitrix24.tech";

/// Checks `[crm]`.
pub(super) fn check(crm: &At<raw::Crm>, site: Language, checker: &mut Checker<'_>) -> Option<Crm> {
    let table = Named { name: raw::Crm::TITLE, span: &crm.span };
    let language = crm.language.as_ref().map_or(site, |language| language.value.into());
    let ca = checker.ca(crm.ca.as_ref());
    let kind = checker.need(crm.kind.as_ref(), &table, "kind", "kind = \"amocrm\"").and_then(|kind| match kind.value {
        Kind::AmoCrm => amocrm(crm, language, checker).map(CrmKind::AmoCrm),
        Kind::Bitrix24 => bitrix24(crm, language, checker).map(CrmKind::Bitrix24),
    });
    Some(Crm { kind: kind?, language, refusals: crm.refusals.as_ref().is_some_and(|refusals| refusals.value), ca: ca? })
}

/// The passes pipeline where the config does not name one.
fn default_pipeline(language: Language) -> StageRef {
    StageRef::Name(if language == Language::Ru { "Проходы" } else { "Passes" }.to_owned())
}

fn amocrm(crm: &At<raw::Crm>, language: Language, checker: &mut Checker<'_>) -> Option<AmoCrm> {
    if let Some(webhook) = &crm.webhook {
        does_not_apply("webhook", "kind", "amocrm", &webhook.span, checker.mistakes);
    }
    let url = account_url(crm, checker);
    let auth = amo_auth(crm, checker);
    let passes = match &crm.passes {
        None => Some((default_pipeline(language), StageRef::Default)),
        Some(At { value: raw::Passes::Full(table), .. }) => {
            if let Some(record) = &table.record {
                does_not_apply("record", "kind", "amocrm", &record.span, checker.mistakes);
            }
            stages(table, language, checker)
        }
        Some(At { value: raw::Passes::Word(_), span }) => {
            // Bitrix24's words: in amoCRM a pass is always a lead.
            let message = text::WRONG_TYPE.with("key", "passes").with("expected", text::PASSES_FORM).with("found", text::A_TEXT);
            checker.mistakes.error(Code::WRONG_TYPE, message, span, text::EXPECTED_HERE.with("expected", text::PASSES_FORM));
            None
        }
    };
    let (pipeline, stage) = passes?;
    Some(AmoCrm { url: url?, auth: auth?, pipeline, stage })
}

fn account_url(crm: &At<raw::Crm>, checker: &mut Checker<'_>) -> Option<String> {
    match (&crm.account, &crm.url) {
        (Some(account), Some(url)) => exclusive(("account", &account.span), ("url", &url.span), checker),
        (None, Some(url)) => {
            let address = checker.web(url, "url", "https://vysota.amocrm.ru")?;
            if address.path.is_empty() {
                return Some(address.text());
            }
            let message = text::BAD_URL.with("key", "url").with("found", shown(&url.value));
            checker.mistakes.error(Code::BAD_URL, message, &url.span, text::URL_FORM.with("example", "https://vysota.amocrm.ru"));
            None
        }
        (Some(account), None) => {
            let name = account.value.as_str();
            let fits = !name.is_empty() && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !name.starts_with('-');
            if fits {
                return Some(format!("https://{}.amocrm.ru", name.to_ascii_lowercase()));
            }
            let message = text::NOT_ALLOWED.with("key", "account").with("found", shown(name));
            checker.mistakes.error(Code::NOT_ALLOWED, message, &account.span, text::ACCOUNT_FORM);
            None
        }
        (None, None) => one_of("account", "url", crm, checker),
    }
}

fn amo_auth(crm: &At<raw::Crm>, checker: &mut Checker<'_>) -> Option<AmoAuth> {
    match (&crm.token, &crm.oauth) {
        (Some(token), Some(oauth)) => exclusive(("token", &token.span), ("oauth", &oauth.span), checker),
        (Some(token), None) => checker.secret(token, |_| true).map(AmoAuth::Token),
        (None, Some(oauth)) => {
            for (key, at) in [("portal", &oauth.portal), ("token_server", &oauth.token_server)] {
                if let Some(at) = at {
                    does_not_apply(key, "kind", "amocrm", &at.span, checker.mistakes);
                }
            }
            let (client_id, client_secret) = application(oauth, checker);
            let table = Named { name: raw::OAuth::TITLE, span: &oauth.span };
            let example = "redirect_uri = \"https://vysota.example/\"";
            let redirect_uri = checker.need(oauth.redirect_uri.as_ref(), &table, "redirect_uri", example);
            let redirect_uri = redirect_uri.and_then(|at| checker.web(at, "redirect_uri", "https://vysota.example/").map(|_| at.value.clone()));
            Some(AmoAuth::OAuth { client_id: client_id?, client_secret: client_secret?, redirect_uri: redirect_uri? })
        }
        (None, None) => one_of("token", "oauth", crm, checker),
    }
}

fn application(oauth: &At<raw::OAuth>, checker: &mut Checker<'_>) -> (Option<String>, Option<super::SecretSource>) {
    let table = Named { name: raw::OAuth::TITLE, span: &oauth.span };
    let client_id = checker.text(oauth.client_id.as_ref(), &table, "client_id", "client_id = \"…\"");
    let secret = checker.need(oauth.client_secret.as_ref(), &table, "client_secret", "client_secret = { file = \"crm-client-secret\" }");
    (client_id, secret.and_then(|secret| checker.secret(secret, |_| true)))
}

fn bitrix24(crm: &At<raw::Crm>, language: Language, checker: &mut Checker<'_>) -> Option<Bitrix24> {
    let strangers = [
        ("account", crm.account.as_ref().map(|at| &at.span)),
        ("url", crm.url.as_ref().map(|at| &at.span)),
        ("token", crm.token.as_ref().map(|at| &at.span)),
    ];
    for (key, span) in strangers {
        if let Some(span) = span {
            does_not_apply(key, "kind", "bitrix24", span, checker.mistakes);
        }
    }
    let auth = match (&crm.webhook, &crm.oauth) {
        (Some(webhook), Some(oauth)) => exclusive(("webhook", &webhook.span), ("oauth", &oauth.span), checker),
        (Some(webhook), None) => checker.secret(webhook, is_webhook).map(BitrixAuth::Webhook),
        (None, Some(oauth)) => bitrix_oauth(oauth, checker),
        (None, None) => one_of("webhook", "oauth", crm, checker),
    };
    let passes = bitrix_passes(crm, language, checker);
    Some(Bitrix24 { auth: auth?, passes: passes? })
}

/// `https://<portal>/rest/<number>/<key>/`
fn is_webhook(address: &str) -> bool {
    let Ok(address) = addresses::web(address) else { return false };
    let parts: Vec<&str> = address.path.trim_matches('/').split('/').collect();
    matches!(parts.as_slice(), ["rest", user, key] if user.parse::<u64>().is_ok() && !key.is_empty())
}

fn bitrix_oauth(oauth: &At<raw::OAuth>, checker: &mut Checker<'_>) -> Option<BitrixAuth> {
    if let Some(redirect) = &oauth.redirect_uri {
        does_not_apply("redirect_uri", "kind", "bitrix24", &redirect.span, checker.mistakes);
    }
    let (client_id, client_secret) = application(oauth, checker);
    let table = Named { name: raw::OAuth::TITLE, span: &oauth.span };
    let example = "https://vysota.bitrix24.ru";
    let portal = checker.need(oauth.portal.as_ref(), &table, "portal", "portal = \"https://vysota.bitrix24.ru\"");
    let portal = portal.and_then(|at| checker.web(at, "portal", example));
    let token_server = match &oauth.token_server {
        Some(at) => checker.web(at, "token_server", TOKEN_SERVER).map(|address| address.text()),
        None => Some(TOKEN_SERVER.to_owned()),
    };
    Some(BitrixAuth::OAuth { portal: portal?.text(), token_server: token_server?, client_id: client_id?, client_secret: client_secret? })
}

fn bitrix_passes(crm: &At<raw::Crm>, language: Language, checker: &mut Checker<'_>) -> Option<PassesAs> {
    let (record, table) = match &crm.passes {
        None => return Some(PassesAs::Timeline),
        Some(At { value: raw::Passes::Word(record), .. }) => (*record, None),
        Some(At { value: raw::Passes::Full(table), .. }) => (table.record.as_ref().map_or(raw::PassesAs::Deal, |at| at.value), Some(table)),
    };
    if record == raw::PassesAs::Timeline {
        for (key, at) in table.into_iter().flat_map(|table| [("pipeline", &table.pipeline), ("stage", &table.stage)]) {
            if let Some(at) = at {
                does_not_apply(key, "record", "timeline", &at.span, checker.mistakes);
            }
        }
        return Some(PassesAs::Timeline);
    }
    let (pipeline, stage) = match table {
        Some(table) => stages(table, language, checker)?,
        None => (default_pipeline(language), StageRef::Default),
    };
    Some(match record {
        raw::PassesAs::Both => PassesAs::Both { pipeline, stage },
        _ => PassesAs::Deal { pipeline, stage },
    })
}

fn stages(table: &raw::PassesTable, language: Language, checker: &mut Checker<'_>) -> Option<(StageRef, StageRef)> {
    let pipeline = stage(table.pipeline.as_ref(), default_pipeline(language), "pipeline", checker);
    let stage = stage(table.stage.as_ref(), StageRef::Default, "stage", checker);
    Some((pipeline?, stage?))
}

/// A pipeline, a stage, a user or a group: as people see it, or by id.
pub(super) fn stage(at: Option<&At<raw::Stage>>, default: StageRef, key: &'static str, checker: &mut Checker<'_>) -> Option<StageRef> {
    let Some(at) = at else { return Some(default) };
    let (raw::Stage::Name(value) | raw::Stage::Id(value)) = &at.value;
    if value.is_empty() || value.chars().count() > 255 || value.chars().any(char::is_control) {
        let message = text::NOT_ALLOWED.with("key", key).with("found", shown(value));
        checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::ALLOWED.with("allowed", text::STAGE_FORM));
        return None;
    }
    Some(match &at.value {
        raw::Stage::Name(name) => StageRef::Name(name.clone()),
        raw::Stage::Id(id) => StageRef::Id(id.clone()),
    })
}

/// Two keys that say the same thing in two ways.
fn exclusive<T>(first: (&'static str, &Range<usize>), second: (&'static str, &Range<usize>), checker: &mut Checker<'_>) -> Option<T> {
    let (first, second) = if first.1.start <= second.1.start { (first, second) } else { (second, first) };
    let message = text::EITHER_OR.with("first", first.0).with("second", second.0);
    checker.mistakes.error(Code::CONFLICT, message, second.1, text::ALSO_HERE).also(first.1, text::ONE_HERE);
    None
}

/// Neither of two keys is there.
fn one_of<T>(first: &'static str, second: &'static str, crm: &At<raw::Crm>, checker: &mut Checker<'_>) -> Option<T> {
    let noted = checker.mistakes.is_broken(&crm.span, first) || checker.mistakes.is_broken(&crm.span, second);
    if !noted {
        let message = text::ONE_OF.with("place", raw::Crm::TITLE).with("first", first).with("second", second);
        let example = match first {
            "account" => "account = \"vysota\"",
            "webhook" => "webhook = { file = \"bitrix24-webhook\" }",
            _ => "token = { file = \"amocrm-token\" }",
        };
        let one = checker.mistakes.error(Code::MISSING, message, &crm.span, text::MISSING_HERE);
        one.help(text::MISSING_HELP.with("example", example));
    }
    None
}
