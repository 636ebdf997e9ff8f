//! One module on a line: what is asked of it next, and what its answers mean. Pure: the driver has the line and the time.
//!
//! A module is away until it answers. Then its outputs are written off and read back, before anything else; then its settings are looked at and put right;
//! then its contacts and counters are read, beginning with a baseline, and orders are taken. Three questions in a row without an answer, and it is away.

use super::contacts::{self, Run, Seen};
use super::relay::{Ask, News, Rank, Relay, Ticket};
use crate::codec::modbus::{Answer, Exception, Request};
use crate::codec::{ModuleMap, Setting};
use crate::device::{NotOpened, Open, Wiring};

/// Questions in a row without an answer, after which a module is away.
const SILENCES: u32 = 3;
/// A module that is away is tried again after this long, at first and at most.
const AGAIN_MS: (u64, u64) = (250, 2_000);
/// A question that was refused is asked again after this long.
const REFUSED_MS: u64 = 1_000;

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// An output.
    Relay(usize, Ask),
    /// A setting.
    Setting(usize),
    /// A run of contacts or counters.
    Run(usize),
}

/// A question that a module would like to be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// How soon.
    pub(super) rank: Rank,
    /// Not before.
    pub(super) due: u64,
    /// What it is about.
    pub(super) about: About,
    /// The module is away: a try.
    pub(super) probe: bool,
}

/// What has become known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// An order, or a taking back.
    Settled(Ticket, Result<(), NotOpened>),
    /// The module answers, and its outputs are off or known not to go off.
    Up,
    /// It no longer answers.
    Down,
    /// Seen at a point.
    Seen(Seen),
    /// An output was on that nobody here had switched on.
    FoundOn(String),
    /// The labels of the outputs that do not go off have changed.
    Stuck,
    /// It refuses what its map says it has.
    Refused(Request, Exception),
    /// It does not take a setting.
    SettingRefused(Setting),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It does not answer.
    Away { again_at: u64, wait_ms: u64 },
    /// It answers; its outputs and settings are being put right.
    Settling,
    /// At work.
    Present,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Look,
    Write,
    LookAgain,
    Done,
}

/// A module.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) address: u8,
    pub(super) relays: Vec<Relay>,
    runs: Vec<Run>,
    settings: Vec<(Setting, Step)>,
    phase: Phase,
    silences: u32,
    leaving: bool,
    news: Vec<News>,
}

impl Station {
    pub(super) fn new(address: u8, map: &ModuleMap, wirings: &[Wiring]) -> Self {
        let mut relays: Vec<Relay> = Vec::new();
        let mut settings: Vec<Setting> = map.set.clone();
        for wiring in wirings {
            if let Some(output) = wiring.open.and_then(|number| map.output(number))
                && !relays.iter().any(|relay| relay.number == output.number)
            {
                relays.push(Relay::new(output.number, output.label.clone(), output.coil, output.real));
                settings.extend(&output.set);
            }
            match wiring.passage {
                Some(crate::device::Contact::Input(number)) => settings.extend(map.input(number).iter().flat_map(|input| &input.set)),
                Some(crate::device::Contact::Counter(number)) => settings.extend(map.counter(number).iter().flat_map(|counter| &counter.set)),
                None => {}
            }
            settings.extend(wiring.free.and_then(|number| map.input(number)).iter().flat_map(|input| &input.set));
        }
        let mut once: Vec<Setting> = Vec::new();
        for setting in settings {
            if !once.contains(&setting) {
                once.push(setting);
            }
        }
        Self {
            address,
            relays,
            runs: contacts::runs(map, wirings),
            settings: once.into_iter().map(|setting| (setting, Step::Look)).collect(),
            phase: Phase::Away { again_at: 0, wait_ms: AGAIN_MS.0 },
            silences: 0,
            leaving: false,
            news: Vec::new(),
        }
    }

    /// Nothing of it is on, and nobody waits for it.
    pub(super) fn at_rest(&self) -> bool {
        matches!(self.phase, Phase::Away { .. }) || self.relays.iter().all(Relay::at_rest)
    }

    /// All its outputs read off.
    pub(super) fn is_off(&self) -> bool {
        self.relays.iter().all(Relay::is_off)
    }

    /// Whether more can be done to get its outputs off.
    pub(super) fn has_given_up(&self) -> bool {
        self.relays.iter().all(Relay::is_settled)
    }

    /// Labels of the outputs that do not go off.
    pub(super) fn stuck(&self) -> Vec<String> {
        self.relays.iter().filter(|relay| relay.is_stuck()).map(|relay| relay.label.clone()).collect()
    }

    /// Takes an order for one of its outputs.
    pub(super) fn order(&mut self, relay: usize, open: Open, ticket: Ticket, now: u64, events: &mut Vec<Event>) {
        match (self.phase, self.relays.get_mut(relay)) {
            _ if self.leaving => events.push(Event::Settled(ticket, Err(NotOpened::NotSent("the gateway is stopping".to_owned())))),
            (Phase::Present, Some(relay)) => relay.order(open, ticket, now, &mut self.news),
            (Phase::Settling, _) => events.push(Event::Settled(ticket, Err(NotOpened::NotSent("the module is being prepared".to_owned())))),
            _ => events.push(Event::Settled(ticket, Err(NotOpened::NotSent("the module does not answer".to_owned())))),
        }
        self.tell(None, events);
    }

    /// Takes the orders of an output back.
    pub(super) fn close(&mut self, relay: usize, ticket: Ticket, events: &mut Vec<Event>) {
        match (self.phase, self.relays.get_mut(relay)) {
            (Phase::Present | Phase::Settling, Some(relay)) => relay.close(ticket, &mut self.news),
            _ => events.push(Event::Settled(ticket, Err(NotOpened::NotSent("the module does not answer".to_owned())))),
        }
        self.tell(None, events);
    }

    /// The gateway stops: orders are taken back, outputs go off.
    pub(super) fn leave(&mut self, events: &mut Vec<Event>) {
        self.leaving = true;
        for relay in &mut self.relays {
            relay.away("the gateway is stopping", &mut self.news);
        }
        if let Phase::Away { again_at, .. } = &mut self.phase {
            *again_at = 0;
        }
        self.tell(None, events);
    }

    /// The port was closed.
    pub(super) fn port_closed(&mut self, now: u64, events: &mut Vec<Event>) {
        self.go_away(now, "the module's port is closed", events);
        self.phase = Phase::Away { again_at: now, wait_ms: AGAIN_MS.0 };
    }

    /// What it would like to be asked next; nothing: there is nothing to ask.
    pub(super) fn next(&mut self, now: u64, events: &mut Vec<Event>) -> Option<Question> {
        let mut best: Option<Question> = None;
        let mut offer = |question: Question| {
            // What is due comes before what is not; then the more pressing; then who waits longer.
            let key = |one: &Question| (one.due > now, if one.due > now { one.due } else { 0 }, one.rank, one.due);
            if best.as_ref().is_none_or(|best| key(&question) < key(best)) {
                best = Some(question);
            }
        };
        let (probe, floor) = match self.phase {
            Phase::Away { again_at, .. } => (true, again_at),
            Phase::Settling | Phase::Present => (false, 0),
        };
        let working = self.phase == Phase::Present && !self.leaving;
        for (at, relay) in self.relays.iter_mut().enumerate() {
            // Until all outputs are off (or do not go off), nothing else is asked; one that does not go off is still tried.
            let (rank, ask, due) = relay.next(now, &mut self.news);
            if working || !relay.is_off() {
                let rank = if probe { Rank::Routine } else { rank };
                offer(Question { rank, due: due.max(floor), about: About::Relay(at, ask), probe });
            }
        }
        let settled = self.relays.iter().all(Relay::is_settled);
        if !self.leaving
            && settled
            && !probe
            && let Some(at) = self.settings.iter().position(|(_, step)| *step != Step::Done)
            && !working
        {
            offer(Question { rank: Rank::Routine, due: 0, about: About::Setting(at), probe });
        }
        // A module that only reports has no output to be tried by.
        if working || (probe && self.relays.is_empty()) {
            for (at, run) in self.runs.iter().enumerate() {
                offer(Question { rank: Rank::Routine, due: run.due.max(floor), about: About::Run(at), probe });
            }
        }
        self.tell(None, events);
        best
    }

    /// The request of a question.
    pub(super) fn request(&self, about: About) -> Option<Request> {
        match about {
            About::Relay(at, ask) => self.relays.get(at).map(|relay| relay.request(ask)),
            About::Setting(at) => self.settings.get(at).map(|(setting, step)| match step {
                Step::Write => Request::WriteRegister { register: setting.register, value: setting.value },
                Step::Look | Step::LookAgain | Step::Done => Request::ReadHolding { first: setting.register, count: 1 },
            }),
            About::Run(at) => self.runs.get(at).map(Run::request),
        }
    }

    /// It answered.
    pub(super) fn answered(&mut self, about: About, answer: &Result<Answer, Exception>, now: u64, events: &mut Vec<Event>) {
        self.silences = 0;
        if let Phase::Away { .. } = self.phase {
            self.phase = Phase::Settling;
            for (_, step) in &mut self.settings {
                *step = Step::Look;
            }
        }
        let request = self.request(about);
        match about {
            About::Relay(at, ask) => {
                if let Some(relay) = self.relays.get_mut(at) {
                    match answer {
                        Ok(Answer::Written) => relay.written(ask, now),
                        Ok(Answer::Bits(bits)) => relay.read(bits.first().copied().unwrap_or(true), now, &mut self.news),
                        Ok(Answer::Words(_)) => {}
                        Err(exception) => relay.refused(ask, *exception, now, &mut self.news),
                    }
                }
            }
            About::Setting(at) => self.set(at, answer, events),
            About::Run(at) => {
                if let Some(run) = self.runs.get_mut(at) {
                    match answer {
                        Ok(answer) => {
                            let mut seen = Vec::new();
                            run.answered(answer, now, &mut seen);
                            events.extend(seen.into_iter().map(Event::Seen));
                        }
                        Err(exception) => {
                            run.due = now + REFUSED_MS;
                            events.extend(request.map(|request| Event::Refused(request, *exception)));
                        }
                    }
                }
            }
        }
        let about_output = match about {
            About::Relay(at, _) => request.map(|request| (at, request)),
            About::Setting(_) | About::Run(_) => None,
        };
        self.tell(about_output, events);
        let ready = self.relays.iter().all(Relay::is_settled) && self.settings.iter().all(|(_, step)| *step == Step::Done);
        if self.phase == Phase::Settling && ready && !self.leaving {
            self.phase = Phase::Present;
            for run in &mut self.runs {
                run.forget();
            }
            events.push(Event::Up);
        }
    }

    fn set(&mut self, at: usize, answer: &Result<Answer, Exception>, events: &mut Vec<Event>) {
        let Some((setting, step)) = self.settings.get_mut(at) else { return };
        let reads_so = matches!(answer, Ok(Answer::Words(words)) if words.first() == Some(&setting.value));
        *step = match (*step, answer) {
            (Step::Look | Step::LookAgain, _) if reads_so => Step::Done,
            (Step::Look, Ok(_)) => Step::Write,
            (Step::Write, Ok(_)) => Step::LookAgain,
            // Refused, or written and reads otherwise: the module goes on without it, and a problem says so.
            _ => {
                events.push(Event::SettingRefused(*setting));
                Step::Done
            }
        };
    }

    /// Nothing came in answer.
    pub(super) fn silent(&mut self, about: About, now: u64, events: &mut Vec<Event>) {
        if let (About::Relay(at, ask), Phase::Settling | Phase::Present) = (about, self.phase)
            && let Some(relay) = self.relays.get_mut(at)
        {
            relay.silent(ask, now);
        }
        self.silences = self.silences.saturating_add(1);
        match self.phase {
            Phase::Away { wait_ms, .. } => {
                self.phase = Phase::Away { again_at: now + wait_ms, wait_ms: (wait_ms * 2).min(AGAIN_MS.1) };
                if self.silences == SILENCES {
                    events.push(Event::Down);
                }
            }
            Phase::Settling | Phase::Present if self.silences >= SILENCES => self.go_away(now, "the module does not answer", events),
            Phase::Settling | Phase::Present => {}
        }
        self.tell(None, events);
    }

    fn go_away(&mut self, now: u64, why: &str, events: &mut Vec<Event>) {
        for relay in &mut self.relays {
            relay.away(why, &mut self.news);
        }
        for run in &mut self.runs {
            run.forget();
        }
        self.phase = Phase::Away { again_at: now + AGAIN_MS.0, wait_ms: AGAIN_MS.0 };
        events.push(Event::Down);
        self.tell(None, events);
    }

    /// Passes on what outputs say; `about` is the output whose answer it follows from, and the request.
    fn tell(&mut self, about: Option<(usize, Request)>, events: &mut Vec<Event>) {
        for news in self.news.drain(..) {
            match (news, about) {
                (News::Settled(ticket, outcome), _) => events.push(Event::Settled(ticket, outcome)),
                (News::FoundOn, Some((at, _))) => events.extend(self.relays.get(at).map(|relay| Event::FoundOn(relay.label.clone()))),
                (News::Refused(exception), Some((_, request))) => events.push(Event::Refused(request, exception)),
                (News::Stuck | News::Unstuck, _) => events.push(Event::Stuck),
                (News::FoundOn | News::Refused(_), None) => {}
            }
        }
    }
}
