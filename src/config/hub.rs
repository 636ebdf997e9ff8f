//! `[hub]`: what of the integration of Lime and the CRM this box runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{Checker, Named};
use super::crm::stage;
use super::diagnostic::Code;
use super::gates::unquoted;
use super::raw::{self, hub as table};
use super::read::{At, shown};
use super::units::duration_text;
use super::{Crm, CrmKind, Language, SecretSource, StageRef, WebJsonConfig};
use crate::domain::{ContactField, ReceiptKind, ServicePointId, Wins};
use crate::words::config as text;

const LISTEN_EXAMPLE: &str = "listen = \"127.0.0.1:8096\"";
/// Characters of a webhook's secret, at least.
const LEAST_SECRET: usize = 16;

/// What may stand in braces in a deal's title.
const PLACEHOLDERS: [&str; 5] = ["what", "sum", "point", "receipt", "date"];

/// `[hub]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// When a client's card is brought up to date.
    pub clients: ClientMoments,
    /// Changes of contacts, both ways.
    pub contacts: Contacts,
    /// Lime's products are shown in the CRM.
    pub products: bool,
    /// Which receipts become deals where; the first that fits counts. Empty: none do.
    pub deals: Vec<DealRule>,
    /// Preorders and the deals of bookings.
    pub preorders: Preorders,
    /// Where the CRM calls when something has changed.
    pub webhook: Option<HubWebhook>,
    /// How often the CRM is asked for changes. Default 20 s.
    pub poll: Duration,
    /// A receipt that is older than this when it is read is entered as history. Default 1 d.
    pub back_fill: Duration,
}

/// When a client's card in the CRM is brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientMoments {
    /// The client is new in Lime.
    pub registration: bool,
    /// Something of the client has changed in Lime.
    pub change: bool,
    /// The client has bought something.
    pub purchase: bool,
    /// The client has passed.
    pub pass: bool,
}

/// Changes of contacts, both ways.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contacts {
    /// What people change in the CRM goes to Lime.
    pub to_lime: bool,
    /// What changes in Lime goes to the CRM.
    pub to_crm: bool,
    /// Who wins where both have changed a field: all fields are in it.
    pub wins: BTreeMap<ContactField, Wins>,
    /// What is cleared on one side is cleared on the other.
    pub clears: bool,
}

/// Which receipts become deals, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealRule {
    /// Kinds of receipts.
    pub kinds: BTreeSet<ReceiptKind>,
    /// A product group of Lime's: some line is of it, or of a group in it.
    pub group: Option<StageRef>,
    /// The place.
    pub service_point: Option<ServicePointId>,
    /// Minor units.
    pub at_least: Option<u32>,
    /// Minor units.
    pub at_most: Option<u32>,
    /// The pipeline.
    pub pipeline: StageRef,
    /// The stage; default its won stage.
    pub stage: StageRef,
    /// The title: `{what}`, `{sum}`, `{point}`, `{receipt}` and `{date}` are to be filled in.
    pub title: String,
    /// Who is responsible.
    pub responsible: Option<StageRef>,
    /// Where the deal goes when all of it is given back.
    pub refunded: Option<StageRef>,
}

/// Preorders and the deals of bookings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preorders {
    /// Products in a booking's deal become a preorder in Lime.
    pub to_lime: bool,
    /// Preorders made in Lime become deals.
    pub to_crm: bool,
    /// The pipeline of bookings.
    pub pipeline: StageRef,
    /// The stage of a deal that comes from Lime; default the pipeline's first.
    pub stage: StageRef,
    /// A deal goes to Lime once it is at this stage or a later one; none: as soon as it has products.
    pub send_at: Option<StageRef>,
    /// A deal at this stage means that its preorder is cancelled; default the pipeline's lost stage.
    pub cancelled: StageRef,
}

/// Where the CRM calls when something has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubWebhook {
    /// An address of this machine alone.
    pub listen: SocketAddr,
    /// What a call has to know.
    pub secret: SecretSource,
}

impl Hub {
    /// What is the default for a CRM: what venues are used to there.
    #[must_use]
    pub fn usual(kind: &CrmKind, language: Language) -> Self {
        let amo = matches!(kind, CrmKind::AmoCrm(_));
        let preorders = Preorders {
            to_lime: true,
            to_crm: amo,
            pipeline: StageRef::Name(if language == Language::Ru { "Дни рождения" } else { "Events" }.to_owned()),
            stage: StageRef::Default,
            send_at: None,
            cancelled: StageRef::Default,
        };
        let rule = DealRule {
            kinds: BTreeSet::from([ReceiptKind::Sale, ReceiptKind::TopUp]),
            group: None,
            service_point: None,
            at_least: None,
            at_most: None,
            pipeline: if amo { preorders.pipeline.clone() } else { StageRef::Id("0".to_owned()) },
            stage: StageRef::Default,
            title: usual_title(language).to_owned(),
            responsible: None,
            refunded: None,
        };
        Self {
            clients: ClientMoments { registration: false, change: false, purchase: !amo, pass: amo },
            contacts: Contacts { to_lime: true, to_crm: true, wins: ContactField::ALL.map(|field| (field, Wins::Newest)).into(), clears: true },
            products: true,
            deals: vec![rule],
            preorders,
            webhook: None,
            poll: Duration::from_secs(20),
            back_fill: Duration::from_secs(86_400),
        }
    }
}

fn usual_title(language: Language) -> &'static str {
    if language == Language::Ru { "Покупка: {what}, {date}" } else { "Purchase: {what}, {date}" }
}

/// Checks `[hub]`; `web_json`: who listens already. The outer `None` is a mistake; the inner one: this box does not run the integration.
#[allow(clippy::option_option, reason = "a mistake is not the same as no hub")]
pub(super) fn check(
    raw: Option<&At<table::Hub>>,
    crm: Option<&Crm>,
    web_json: Option<&WebJsonConfig>,
    checker: &mut Checker<'_>,
) -> Option<Option<Hub>> {
    let Some(raw) = raw else { return Some(None) };
    let crm = crm?;
    let usual = Hub::usual(&crm.kind, crm.language);
    let is = |at: &Option<At<bool>>, default: bool| at.as_ref().map_or(default, |at| at.value);
    let clients = raw.clients.as_ref().map_or(usual.clients, |moments| {
        let has = |moment| moments.iter().any(|at| at.value == moment);
        ClientMoments {
            registration: has(table::ClientMoment::Registration),
            change: has(table::ClientMoment::Change),
            purchase: has(table::ClientMoment::Purchase),
            pass: has(table::ClientMoment::Pass),
        }
    });
    let contacts = raw.contacts.as_ref().map_or(usual.contacts, |at| contacts(at));
    let preorders = match &raw.preorders {
        Some(at) => preorders(at, usual.preorders, checker),
        None => Some(usual.preorders),
    };
    let deals = match (&raw.deal, &preorders) {
        _ if !is(&raw.receipts, true) => Some(Vec::new()),
        (Some(rules), _) if !rules.is_empty() => deals(rules, crm.language, checker),
        // Where the file names another pipeline for bookings, that is the one for purchases, too.
        (_, Some(preorders)) => {
            let pipeline = |rule: DealRule| match crm.kind {
                CrmKind::AmoCrm(_) => DealRule { pipeline: preorders.pipeline.clone(), ..rule },
                CrmKind::Bitrix24(_) => rule,
            };
            Some(usual.deals.into_iter().map(pipeline).collect())
        }
        (_, None) => None,
    };
    let webhook = match &raw.webhook {
        Some(at) => webhook(at, web_json, checker).map(Some),
        None => Some(None),
    };
    let poll = checker.span(raw.poll.as_ref(), "poll", usual.poll, ("5s", "1h"));
    let back_fill = checker.span(raw.back_fill.as_ref(), "back_fill", usual.back_fill, ("1min", "3650d"));
    let (products, deals, preorders, webhook) = (is(&raw.products, true), deals?, preorders?, webhook?);
    let hub = Hub { clients, contacts, products, deals, preorders, webhook, poll: poll?, back_fill: back_fill? };
    Some(is(&raw.enabled, true).then_some(hub))
}

fn wins(word: table::WinsWord) -> Wins {
    match word {
        table::WinsWord::Lime => Wins::Lime,
        table::WinsWord::Crm => Wins::Crm,
        table::WinsWord::Newest => Wins::Newest,
    }
}

fn contacts(raw: &table::HubContacts) -> Contacts {
    let is = |at: &Option<At<bool>>| at.as_ref().is_none_or(|at| at.value);
    let all = raw.wins.as_ref().map_or(Wins::Newest, |at| wins(at.value));
    let of = |field: ContactField| {
        let at = match field {
            ContactField::LastName => &raw.last_name,
            ContactField::FirstName => &raw.first_name,
            ContactField::MiddleName => &raw.middle_name,
            ContactField::BirthDate => &raw.birth_date,
            ContactField::Phones => &raw.phones,
            ContactField::Emails => &raw.emails,
        };
        (field, at.as_ref().map_or(all, |at| wins(at.value)))
    };
    Contacts { to_lime: is(&raw.to_lime), to_crm: is(&raw.to_crm), wins: ContactField::ALL.map(of).into(), clears: is(&raw.clears) }
}

/// Whoever knows the secret may have the CRM asked: it must not be guessed, and must not travel in the clear.
fn webhook(raw: &At<table::HubWebhook>, web_json: Option<&WebJsonConfig>, checker: &mut Checker<'_>) -> Option<HubWebhook> {
    let named = Named { name: table::HubWebhook::TITLE, span: &raw.span };
    let secret = checker.need(raw.secret.as_ref(), &named, "secret", "secret = { file = \"hub-webhook\" }").and_then(|at| {
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        checker.secret_of(at, text::HOOK_SECRET_FORM, |text| text.len() >= LEAST_SECRET && plain(text))
    });
    let at = checker.need(raw.listen.as_ref(), &named, "listen", LISTEN_EXAMPLE)?;
    let Some(listen) = at.value.parse::<SocketAddr>().ok().filter(|address| address.port() > 0) else {
        let message = text::NOT_ALLOWED.with("key", "listen").with("found", shown(&at.value));
        checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::MISSING_HELP.with("example", LISTEN_EXAMPLE));
        return None;
    };
    if !listen.ip().is_loopback() {
        let message = text::OPEN_HOOK.with("listen", unquoted(&at.value));
        checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::SYNTAX_HERE).help(text::OPEN_HOOK_HELP);
        return None;
    }
    if web_json.is_some_and(|other| other.listen.port() == listen.port()) {
        let message = text::SAME_LISTENER.with("listen", unquoted(&at.value));
        checker.mistakes.error(Code::CONFLICT, message, &at.span, text::TAKEN_HERE);
        return None;
    }
    Some(HubWebhook { listen, secret: secret? })
}

fn preorders(raw: &At<table::HubPreorders>, usual: Preorders, checker: &mut Checker<'_>) -> Option<Preorders> {
    let pipeline = stage(raw.pipeline.as_ref(), usual.pipeline, "pipeline", checker);
    let first = stage(raw.stage.as_ref(), StageRef::Default, "stage", checker);
    let send_at = optional(raw.send_at.as_ref(), "send_at", checker);
    let cancelled = stage(raw.cancelled.as_ref(), StageRef::Default, "cancelled", checker);
    Some(Preorders {
        to_lime: raw.to_lime.as_ref().map_or(usual.to_lime, |at| at.value),
        to_crm: raw.to_crm.as_ref().map_or(usual.to_crm, |at| at.value),
        pipeline: pipeline?,
        stage: first?,
        send_at: send_at?,
        cancelled: cancelled?,
    })
}

#[allow(clippy::option_option, reason = "a mistake is not the same as nothing given")]
fn optional(at: Option<&At<raw::Stage>>, key: &'static str, checker: &mut Checker<'_>) -> Option<Option<StageRef>> {
    match at {
        Some(_) => stage(at, StageRef::Default, key, checker).map(Some),
        None => Some(None),
    }
}

fn deals(rules: &[At<table::HubDeal>], language: Language, checker: &mut Checker<'_>) -> Option<Vec<DealRule>> {
    let mut known: Vec<(DealRule, &At<table::HubDeal>)> = Vec::new();
    let mut whole = true;
    for raw in rules {
        let Some(rule) = deal(raw, language, checker) else {
            whole = false;
            continue;
        };
        if let Some((_, first)) = known.iter().find(|(earlier, _)| earlier.covers(&rule)) {
            let one = checker.mistakes.error(Code::CONFLICT, text::RULE_NEVER_FITS, &raw.span, text::RULE_HERE);
            one.also(&first.span, text::RULE_FIRST).help(text::RULE_HELP);
            whole = false;
        }
        known.push((rule, raw));
    }
    whole.then(|| known.into_iter().map(|(rule, _)| rule).collect())
}

fn deal(raw: &At<table::HubDeal>, language: Language, checker: &mut Checker<'_>) -> Option<DealRule> {
    let named = Named { name: table::HubDeal::TITLE, span: &raw.span };
    let kinds = match &raw.kinds {
        Some(kinds) if kinds.is_empty() => {
            checker.mistakes.error(Code::NOT_ALLOWED, text::RULE_NO_KIND, &raw.span, text::RULE_HERE);
            None
        }
        Some(kinds) => Some(kinds.iter().map(|at| receipt_kind(at.value)).collect()),
        None => Some(BTreeSet::from([ReceiptKind::Sale, ReceiptKind::TopUp])),
    };
    if let (Some(least), Some(most)) = (&raw.at_least, &raw.at_most)
        && least.value > most.value
    {
        checker.mistakes.error(Code::CONFLICT, text::RULE_EMPTY_RANGE, &most.span, text::SYNTAX_HERE).also(&least.span, text::ONE_HERE);
        return None;
    }
    let group = optional(raw.group.as_ref(), "group", checker);
    let service_point = match &raw.service_point {
        Some(_) => checker.text(raw.service_point.as_ref(), &named, "service_point", "service_point = \"sp-4\"").map(|id| Some(ServicePointId(id))),
        None => Some(None),
    };
    let pipeline = match checker.need(raw.pipeline.as_ref(), &named, "pipeline", "pipeline = \"Продажи\"") {
        Some(at) => stage(Some(at), StageRef::Default, "pipeline", checker),
        None => None,
    };
    let at_stage = stage(raw.stage.as_ref(), StageRef::Default, "stage", checker);
    let title = match &raw.title {
        Some(at) => title(at, &named, checker),
        None => Some(usual_title(language).to_owned()),
    };
    let responsible = optional(raw.responsible.as_ref(), "responsible", checker);
    let refunded = optional(raw.refunded.as_ref(), "refunded", checker);
    Some(DealRule {
        kinds: kinds?,
        group: group?,
        service_point: service_point?,
        at_least: raw.at_least.as_ref().map(|at| at.value),
        at_most: raw.at_most.as_ref().map(|at| at.value),
        pipeline: pipeline?,
        stage: at_stage?,
        title: title?,
        responsible: responsible?,
        refunded: refunded?,
    })
}

fn receipt_kind(word: table::ReceiptWord) -> ReceiptKind {
    match word {
        table::ReceiptWord::Sale => ReceiptKind::Sale,
        table::ReceiptWord::TopUp => ReceiptKind::TopUp,
    }
}

/// A title in which every pair of braces holds something that can be filled in.
fn title(at: &At<String>, named: &Named<'_>, checker: &mut Checker<'_>) -> Option<String> {
    let title = checker.text(Some(at), named, "title", "title = \"Покупка: {what}\"")?;
    let mut rest = title.as_str();
    while let Some(open) = rest.find(['{', '}']) {
        let inside = rest.get(open + 1..).and_then(|after| after.split_once('}')).filter(|_| rest.as_bytes().get(open) == Some(&b'{'));
        match inside {
            Some((name, after)) if PLACEHOLDERS.contains(&name) => rest = after,
            _ => {
                let allowed = PLACEHOLDERS.map(|name| format!("{{{name}}}")).join(", ");
                let message = text::NOT_ALLOWED.with("key", "title").with("found", shown(&title));
                checker.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::ALLOWED.with("allowed", allowed));
                return None;
            }
        }
    }
    Some(title)
}

impl DealRule {
    /// Whatever fits the other fits this one, too.
    fn covers(&self, other: &Self) -> bool {
        other.kinds.is_subset(&self.kinds)
            && (self.group.is_none() || self.group == other.group)
            && (self.service_point.is_none() || self.service_point == other.service_point)
            && self.at_least.unwrap_or(0) <= other.at_least.unwrap_or(0)
            && self.at_most.unwrap_or(u32::MAX) >= other.at_most.unwrap_or(u32::MAX)
    }
}

/// As the file would say it.
pub(super) fn effective(hub: &Hub, shown: impl Fn(&StageRef) -> Value, secret: &dyn Fn(&SecretSource) -> Value) -> Value {
    let moments =
        [("registration", hub.clients.registration), ("change", hub.clients.change), ("purchase", hub.clients.purchase), ("pass", hub.clients.pass)];
    let word = |wins: Wins| match wins {
        Wins::Lime => "lime",
        Wins::Crm => "crm",
        Wins::Newest => "newest",
    };
    let mut contacts = json!({ "to_lime": hub.contacts.to_lime, "to_crm": hub.contacts.to_crm, "clears": hub.contacts.clears });
    if let Some(table) = contacts.as_object_mut() {
        table.extend(hub.contacts.wins.iter().filter_map(|(field, wins)| Some((json!(field).as_str()?.to_owned(), json!(word(*wins))))));
    }
    let optional = |stage: &Option<StageRef>| stage.as_ref().map(&shown);
    let deals = hub.deals.iter().map(|rule| {
        json!({
            "kinds": rule.kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
            "group": optional(&rule.group),
            "service_point": rule.service_point.as_ref().map(ServicePointId::as_str),
            "at_least": rule.at_least,
            "at_most": rule.at_most,
            "pipeline": shown(&rule.pipeline),
            "stage": shown(&rule.stage),
            "title": rule.title,
            "responsible": optional(&rule.responsible),
            "refunded": optional(&rule.refunded),
        })
    });
    json!({
        "enabled": true,
        "clients": moments.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>(),
        "contacts": contacts,
        "products": hub.products,
        "receipts": !hub.deals.is_empty(),
        "deal": deals.collect::<Vec<_>>(),
        "preorders": {
            "to_lime": hub.preorders.to_lime,
            "to_crm": hub.preorders.to_crm,
            "pipeline": shown(&hub.preorders.pipeline),
            "stage": shown(&hub.preorders.stage),
            "send_at": optional(&hub.preorders.send_at),
            "cancelled": shown(&hub.preorders.cancelled),
        },
        "webhook": hub.webhook.as_ref().map(|webhook| json!({ "listen": webhook.listen.to_string(), "secret": secret(&webhook.secret) })),
        "poll": duration_text(hub.poll),
        "back_fill": duration_text(hub.back_fill),
    })
}
