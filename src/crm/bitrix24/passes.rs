//! The passes of a batch: asking for those in doubt, creating deals, writing timeline lines.
//!
//! Never: a line or deal written for a job in doubt; a line written before the deal beside it is there.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::fault::{self, Class};
use super::record;
use super::schema::{self, CONTACT, DEAL};
use super::talk::{Talk, Task, deal_key, item_id};
use super::wire;
use crate::delivery::Verdict;
use crate::domain::{ClientId, Seq};

/// Lines of a page of `crm.timeline.logmessage.list`.
const LINES: u64 = 10;
/// Pages looked through for a line. A contact's passes are delivered in order, so a line in doubt is the newest of ours there; five hundred lines of
/// other programs on top of it are not to be feared.
const PAGES: u64 = 50;

/// What became of one create.
enum Made {
    /// It is there, under this id.
    There(Option<u64>),
    /// The portal does not know a field or stage that we named.
    Stale,
    /// A verdict, whatever the names are.
    Verdict(Verdict),
    /// What the command names is gone.
    Gone,
}

impl Talk {
    /// Finds out what became of writes in doubt.
    pub(super) async fn ask_for_the_doubtful(&mut self) -> Result<(), Halt> {
        let doubtful: Vec<usize> = self.tasks_where(|task| task.doubtful);
        if doubtful.is_empty() {
            return Ok(());
        }
        self.ask_for_deals(&doubtful).await?;
        let found = self.ask_for_lines(&doubtful).await?;
        for task in doubtful.into_iter().filter_map(|at| self.tasks.get(at).cloned()).collect::<Vec<_>>() {
            let deal_there = !self.settings.deals() || task.deal.is_some();
            let line_owed = self.line_is_owed(&task);
            match found.get(&task.seq) {
                _ if !self.book.is_open(task.seq) => {}
                Some(line) if deal_there => self.confirm(&task, remote(task.deal.as_deref(), *line)),
                None if deal_there && !line_owed => self.confirm(&task, remote(task.deal.as_deref(), None)),
                _ => self.book.decide(task.seq, Verdict::NotFound),
            }
        }
        Ok(())
    }

    async fn ask_for_deals(&mut self, doubtful: &[usize]) -> Result<(), Halt> {
        if !self.settings.deals() {
            return Ok(());
        }
        let open: Vec<&Task> = doubtful.iter().filter_map(|at| self.tasks.get(*at)).filter(|task| task.deal.is_none()).collect();
        let origins: Vec<String> = open.iter().map(|task| record::pass_origin(&task.write_off.pass_id)).collect();
        let found = self.by_origin(DEAL, &origins).await?;
        let lines = self.settings.lines();
        for at in doubtful {
            let Some(task) = self.tasks.get_mut(*at) else { continue };
            if let Some(id) = found.get(&record::pass_origin(&task.write_off.pass_id)) {
                task.deal = Some(id.to_string());
                if lines {
                    self.book.learn(deal_key(&task.write_off), task.deal.clone());
                }
            }
        }
        Ok(())
    }

    /// The lines found in their contacts' timelines, by job.
    async fn ask_for_lines(&mut self, doubtful: &[usize]) -> Result<BTreeMap<Seq, Option<u64>>, Halt> {
        let mut found = BTreeMap::new();
        let mut wanted: BTreeMap<u64, Vec<(Seq, String)>> = BTreeMap::new();
        for task in doubtful.iter().filter_map(|at| self.tasks.get(*at)).filter(|task| self.line_is_owed(task)) {
            if let Some(contact) = self.contact_of(task) {
                wanted.entry(contact).or_default().push((task.seq, record::pass_origin(&task.write_off.pass_id)));
            }
        }
        let mut starts: Vec<(u64, u64)> = wanted.keys().map(|contact| (*contact, 0)).collect();
        for round in 0..2 {
            let commands: Vec<Command> = starts.iter().map(|(contact, start)| ask_lines(*contact, *start)).collect();
            let outcomes = self.portal.ask(&commands).await?;
            let mut further = Vec::new();
            for ((contact, _), outcome) in starts.iter().zip(outcomes) {
                let (result, total) = match outcome {
                    Outcome::Done { result, total, .. } => (result, total),
                    Outcome::Unanswered => return Err(Halt::new("crm/unanswered")),
                    Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                        // A contact that is gone took its lines along.
                        Class::Gone => continue,
                        class => return Err(schema::halt(&class)),
                    },
                };
                let rows = result.get("logMessages").or_else(|| result.get("logMessage")).unwrap_or(&result);
                let rows = wire::rows(rows);
                let Some(open) = wanted.get_mut(contact) else { continue };
                for row in &rows {
                    let text = row.get("text").and_then(Value::as_str).unwrap_or_default();
                    open.retain(|(seq, token)| {
                        let here = text.contains(token.as_str());
                        if here {
                            found.insert(*seq, row.get("id").and_then(wire::id));
                        }
                        !here
                    });
                }
                if round == 0 && !open.is_empty() && rows.len() >= usize::try_from(LINES).unwrap_or(usize::MAX) {
                    let last = total.map_or(PAGES, |total| total.div_ceil(LINES).min(PAGES));
                    further.extend((1..last).map(|page| (*contact, page * LINES)));
                }
            }
            starts = further;
        }
        Ok(found)
    }

    /// The job owes a line and has a card to write it to.
    fn line_is_owed(&self, task: &Task) -> bool {
        self.settings.lines() && task.write_off.client_id.as_ref().is_some_and(|client| !self.is_nobody(client))
    }

    fn is_nobody(&self, client: &ClientId) -> bool {
        self.guests.get(client).is_some_and(|guest| guest.contact.is_none() && matches!(guest.lime, super::contacts::Lime::Nobody))
    }

    /// Creates the deals that are owed, fifty to a request.
    pub(super) async fn create_deals(&mut self) -> Result<(), Halt> {
        if !self.settings.deals() {
            return Ok(());
        }
        let mut open = self.tasks_where(|task| task.deal.is_none());
        loop {
            let mut stale = Vec::new();
            for chunk in open.chunks(LIMIT) {
                stale.extend(self.create_deal_chunk(chunk).await?);
            }
            if stale.is_empty() {
                return Ok(());
            }
            let refuse = self.looked_again;
            if !refuse {
                self.look_again().await?;
            }
            if refuse {
                // The names were read a moment ago, so it is not they.
                for task in stale.into_iter().filter_map(|at| self.tasks.get(at)) {
                    self.book.decide(
                        task.seq,
                        Verdict::Dead { reason: "refused/deal".to_owned(), answer: "the portal refuses the stage or a field".to_owned() },
                    );
                }
                return Ok(());
            }
            open = stale;
        }
    }

    async fn create_deal_chunk(&mut self, chunk: &[usize]) -> Result<Vec<usize>, Halt> {
        let Some(funnel) = self.schema.funnel.clone() else { return Err(Halt::person("setup/pipeline")) };
        let tasks = self.ready(chunk);
        let texts = &self.settings.texts;
        let command = |task: &Task| record::deal(&task.write_off, self.contact_of(task), &self.schema, &funnel, texts, self.now_ms);
        let commands: Vec<Command> = tasks.iter().map(|(_, task)| Command::new("crm.item.add", command(task))).collect();
        let mut stale = Vec::new();
        for ((at, task), made) in tasks.iter().zip(self.create(&commands, &tasks, "refused/deal").await?) {
            match made {
                Made::There(Some(id)) => self.deal_is_there(*at, id),
                Made::There(None) => self.book.decide(task.seq, Verdict::Doubtful),
                Made::Verdict(verdict) => self.book.decide(task.seq, verdict),
                Made::Stale => stale.push(*at),
                Made::Gone => self.lose_contact(task, "refused/deal"),
            }
        }
        Ok(stale)
    }

    fn deal_is_there(&mut self, at: usize, id: u64) {
        let Some(task) = self.tasks.get_mut(at) else { return };
        task.deal = Some(id.to_string());
        let task = task.clone();
        if self.line_is_owed(&task) {
            self.book.learn(deal_key(&task.write_off), task.deal.clone());
        } else {
            self.confirm(&task, remote(task.deal.as_deref(), None));
        }
    }

    /// Writes the timeline lines that are owed, fifty to a request.
    pub(super) async fn write_lines(&mut self) -> Result<(), Halt> {
        for (_, task) in self.ready(&self.tasks_where(|_| true)) {
            let deal_there = !self.settings.deals() || task.deal.is_some();
            if deal_there && !self.line_is_owed(&task) {
                self.confirm(&task, remote(task.deal.as_deref(), None));
            }
        }
        let owed = self.tasks_where(|task| self.contact_of(task).is_some() && (!self.settings.deals() || task.deal.is_some()));
        for chunk in owed.chunks(LIMIT) {
            let tasks = self.ready(chunk);
            let lines = tasks.iter().filter_map(|(_, task)| {
                let contact = self.contact_of(task)?;
                Some(Command::new("crm.timeline.logmessage.add", record::line(&task.write_off, contact, &self.settings.texts, self.now_ms)))
            });
            let commands: Vec<Command> = lines.collect();
            for ((_, task), made) in tasks.iter().zip(self.create(&commands, &tasks, "refused/timeline").await?) {
                match made {
                    Made::There(line) => self.confirm(task, remote(task.deal.as_deref(), line)),
                    Made::Verdict(verdict) => self.book.decide(task.seq, verdict),
                    Made::Stale => {
                        let answer = "the portal refuses the line".to_owned();
                        self.book.decide(task.seq, Verdict::Dead { reason: "refused/timeline".to_owned(), answer });
                    }
                    Made::Gone => self.lose_contact(task, "refused/timeline"),
                }
            }
        }
        Ok(())
    }

    /// Sends commands that create something, one for each task.
    async fn create(&mut self, commands: &[Command], tasks: &[(usize, Task)], refusal: &'static str) -> Result<Vec<Made>, Halt> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let jobs: Vec<Seq> = tasks.iter().map(|(_, task)| task.seq).collect();
        let outcomes = match self.portal.create(commands, jobs.clone()).await {
            Ok(outcomes) => outcomes,
            Err(broken) => return Err(self.broken(broken, &jobs)),
        };
        let made = commands.iter().zip(outcomes).map(|(command, outcome)| match outcome {
            Outcome::Done { result, .. } => Made::There(item_id(&result).or_else(|| line_id(&result))),
            Outcome::Unanswered => Made::Verdict(Verdict::Doubtful),
            Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                Class::Unclear => Made::Verdict(Verdict::Doubtful),
                Class::Stale => Made::Stale,
                Class::Gone => Made::Gone,
                Class::Refused => Made::Verdict(Verdict::Dead { reason: refusal.to_owned(), answer: command.unsaid(&fault.show()) }),
                class => Made::Verdict(schema::halt(&class).into()),
            },
        });
        Ok(made.collect())
    }

    /// The contact that a record was to be tied to is gone; without one, the portal means something else and a person must look.
    fn lose_contact(&mut self, task: &Task, refusal: &str) {
        match &task.write_off.client_id {
            Some(client) if self.contact_of(task).is_some() => self.forget(client),
            _ => self
                .book
                .decide(task.seq, Verdict::Dead { reason: refusal.to_owned(), answer: "the portal does not find what the record names".to_owned() }),
        }
    }

    fn tasks_where(&self, wanted: impl Fn(&Task) -> bool) -> Vec<usize> {
        self.tasks.iter().enumerate().filter(|(_, task)| self.book.is_open(task.seq) && wanted(task)).map(|(at, _)| at).collect()
    }

    /// Those that may go now. A pass waits for an earlier one of its guest that has to try again.
    fn ready(&mut self, at: &[usize]) -> Vec<(usize, Task)> {
        let mut ready = Vec::with_capacity(at.len());
        for (at, task) in at.iter().filter_map(|at| Some((*at, self.tasks.get(*at)?.clone()))) {
            if !self.book.is_open(task.seq) {
                continue;
            }
            let before = |other: &&Task| other.seq < task.seq && other.write_off.client_id == task.write_off.client_id;
            if task.write_off.client_id.is_some() && self.tasks.iter().filter(before).any(|other| self.book.waits(other.seq)) {
                self.book.decide(task.seq, Halt::after("crm/order", Duration::ZERO));
            } else {
                ready.push((at, task));
            }
        }
        ready
    }
}

/// What a person finds the pass under: its deal, else its line.
fn remote(deal: Option<&str>, line: Option<u64>) -> Option<String> {
    deal.map(|deal| format!("deal:{deal}")).or_else(|| line.map(|line| format!("timeline:{line}")))
}

/// The newest lines of a contact, from the `start`-th.
fn ask_lines(contact: u64, start: u64) -> Command {
    let params = json!({ "entityTypeId": CONTACT, "entityId": contact, "order": { "id": "DESC" }, "start": start });
    Command::new("crm.timeline.logmessage.list", params)
}

fn line_id(result: &Value) -> Option<u64> {
    wire::id(result.get("logMessage")?.get("id")?)
}
