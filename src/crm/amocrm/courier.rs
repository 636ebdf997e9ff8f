//! amoCRM's side of delivery: begins a conversation about a batch of jobs.

use crate::config::{AmoCrm, Hub};
use crate::crm::script::{Ending, Line, Talk};
use crate::crm::texts::Texts;
use crate::delivery::{Call, Conversation, Courier, Job, Ledger, NoAnswer, Work};
use crate::domain::Seq;
use crate::flow::contacts::{Keyer, Rules};
use crate::http::Answer;
use crate::journal::Destination;
use crate::lime::feed::is_echo;

use super::desk::{Desk, Stop};
use super::directory::Directory;
use super::meeting::TwoWay;
use super::memory::Memory;
use super::{deliver, ledger, schema};

/// Jobs of one conversation: deep enough that the passes of one guest in a drain meet, and one update of their card serves them all.
const BATCH: usize = 250;

/// Makes conversations with amoCRM.
#[derive(Clone, Debug)]
pub struct AmoCourier {
    config: AmoCrm,
    hub: Option<Hub>,
    keyer: Option<Keyer>,
    texts: Texts,
    directory: Directory,
}

impl AmoCourier {
    /// For one account, in the venue's words. `hub`: what of the integration this box runs, where it does.
    #[must_use]
    pub fn new(config: AmoCrm, hub: Option<Hub>, texts: Texts) -> Self {
        Self { config, hub, keyer: None, texts, directory: Directory::default() }
    }

    /// With the box's key for marks: without it, contacts do not go both ways.
    #[must_use]
    pub fn with_marks(mut self, keyer: Option<Keyer>) -> Self {
        self.keyer = keyer;
        self
    }

    fn two_way(&self) -> Option<TwoWay> {
        let contacts = &self.hub.as_ref()?.contacts;
        let rules = Rules::new(contacts).with_joined_names();
        (contacts.to_lime || contacts.to_crm).then_some(TwoWay { keyer: self.keyer.clone()?, rules })
    }
}

impl Courier for AmoCourier {
    fn destination(&self) -> Destination {
        Destination::Crm
    }

    fn batch_limit(&self) -> usize {
        BATCH
    }

    fn begin(&self, batch: Vec<Job>, ledger: &dyn Ledger, now_wall_ms: i64) -> Box<dyn Conversation> {
        let memory = Memory::of(&batch, ledger, now_wall_ms);
        let echo = |job: &Job| job.doubt.is_none() && matches!(&job.work, Work::Change(change) if is_echo(change, ledger));
        let echoes: Vec<Seq> = batch.iter().filter(|job| echo(job)).map(|job| job.seq).collect();
        let place = Place {
            config: self.config.clone(),
            hub: self.hub.clone(),
            two_way: self.two_way(),
            keyer: self.keyer.clone(),
            texts: self.texts.clone(),
            directory: self.directory.clone(),
            now_wall_ms,
        };
        Box::new(Talk::new(move |line| talk(line, (batch, echoes), memory, place)))
    }
}

/// What does not change in a conversation.
#[derive(Debug)]
pub struct Place {
    /// The account.
    pub config: AmoCrm,
    /// What of the integration this box runs; none where it only delivers its passes.
    pub hub: Option<Hub>,
    /// How contacts go both ways; none where they do not.
    pub two_way: Option<TwoWay>,
    /// The box's key for marks.
    pub keyer: Option<Keyer>,
    /// The venue's words.
    pub texts: Texts,
    /// Who stands on which contact, while many are looked for.
    pub directory: Directory,
    /// The best wall time when it began.
    pub now_wall_ms: i64,
}

async fn talk(line: Line<Call, Result<Answer, NoAnswer>>, (batch, echoes): (Vec<Job>, Vec<Seq>), mut memory: Memory, place: Place) -> Ending {
    let mut desk = Desk::new(line, batch);
    echoes.into_iter().for_each(|job| desk.done(job, None));
    if desk.open().is_empty() {
        return desk.ending(None);
    }
    let stop = with_schema(&mut desk, &mut memory, &place).await.err();
    desk.ending(stop)
}

/// Delivers, with a schema; where amoCRM says that a field or stage has gone, once more with a new one.
async fn with_schema(desk: &mut Desk, memory: &mut Memory, place: &Place) -> Result<(), Stop> {
    if !memory.schema.as_ref().is_some_and(|schema| schema.serves(&place.config, place.now_wall_ms)) {
        read_schema(desk, memory, place).await?;
    }
    loop {
        let Some(schema) = memory.schema.clone() else { return Err(Stop::Schema) };
        match deliver::deliver(desk, &schema, memory, place).await {
            Err(Stop::Schema) if !desk.reloaded => read_schema(desk, memory, place).await?,
            end => return end,
        }
    }
}

async fn read_schema(desk: &mut Desk, memory: &mut Memory, place: &Place) -> Result<(), Stop> {
    desk.reloaded = true;
    let mut raw = schema::Raw::default();
    for request in super::setup::READS {
        let answer = desk.ask(crate::delivery::Host::Crm, request.first()).await?;
        super::desk::good(&answer)?;
        let mut next = request.take(&answer, &mut raw).ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
        while let Some(path) = next.take() {
            let page = desk.page(crate::http::Request::get(path, request.label()), request.key()).await?;
            request.put(page.items, &mut raw);
            next = page.next;
        }
    }
    match schema::resolve(&raw, &place.config, memory.schema.as_ref(), place.now_wall_ms) {
        Ok(found) => {
            desk.learn(ledger::schema(), serde_json::to_string(&found).ok());
            memory.schema = Some(found);
            Ok(())
        }
        Err(problem) => Err(Stop::later(problem.code(), Some(std::time::Duration::from_secs(60)))),
    }
}
