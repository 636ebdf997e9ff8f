//! The outputs of one device and the orders under way at them: one at a time each, until the device answers or the order's time is over. Pure but for the
//! channels on which answers go back: time comes in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use uuid::Uuid;

use super::speech::Answer;
use crate::device::NotOpened;

/// Between two pulses the turnstile must see an edge.
const REST: Duration = Duration::from_millis(100);

/// Told when the order is done.
pub(super) type Reply = oneshot::Sender<Result<(), NotOpened>>;

/// An order that left, or is about to.
#[derive(Debug)]
pub(super) struct Pending {
    /// The order's, or one of its own where it is an end.
    pub id: Uuid,
    /// By what the answer is known.
    pub answer: Answer,
    /// After this nobody waits for the answer.
    pub until: Instant,
    /// The broker has it. Until then it is the broker's connection that says how the wait ends.
    pub sent: bool,
    /// How long the output is on; nothing: it is to go off.
    pub pulse: Option<Duration>,
    /// Who waits.
    pub reply: Reply,
}

#[derive(Debug, Default)]
struct Relay {
    pending: Option<Pending>,
    /// The pulse ends then.
    off_at: Option<Instant>,
    /// After the last pulse, and a rest, the next one may begin.
    free_at: Option<Instant>,
}

/// All outputs of a device that are wired.
#[derive(Debug)]
pub(super) struct Relays {
    relays: BTreeMap<u16, Relay>,
    /// The device ends its pulses by itself.
    ends_pulses: bool,
}

impl Relays {
    pub fn new(outputs: impl Iterator<Item = u16>, ends_pulses: bool) -> Self {
        Self { relays: outputs.map(|output| (output, Relay::default())).collect(), ends_pulses }
    }

    pub fn outputs(&self) -> Vec<u16> {
        self.relays.keys().copied().collect()
    }

    /// Whether an order to open is under way there, or its pulse and the rest behind it have not ended. An end that is not answered holds up nobody.
    pub fn busy(&self, output: u16) -> bool {
        self.relays.get(&output).is_none_or(|relay| relay.pending.as_ref().is_some_and(|pending| pending.pulse.is_some()) || relay.free_at.is_some())
    }

    /// An order begins. One that was under way there is not known to have been done.
    pub fn begin(&mut self, output: u16, pending: Pending) {
        let Some(relay) = self.relays.get_mut(&output) else { return };
        (relay.off_at, relay.free_at) = (None, None);
        if let Some(before) = relay.pending.replace(pending) {
            tell(before.reply, Err(NotOpened::Unknown("taken back".to_owned())));
        }
    }

    /// The broker has the order with this id.
    pub fn sent(&mut self, id: Uuid) {
        for pending in self.relays.values_mut().filter_map(|relay| relay.pending.as_mut()).filter(|pending| pending.id == id) {
            pending.sent = true;
        }
    }

    /// The order with this id certainly has not left.
    pub fn not_sent(&mut self, id: Uuid, why: NotOpened) {
        if let Some((_, pending)) = self.take(|pending| pending.id == id) {
            tell(pending.reply, Err(why));
        }
    }

    /// The order with this id may have left, and is not sent again. Returns the output to be put off.
    pub fn doubtful(&mut self, id: Uuid, why: &str) -> Option<u16> {
        let (output, pending) = self.take(|pending| pending.id == id)?;
        tell(pending.reply, Err(NotOpened::Unknown(why.to_owned())));
        pending.pulse.is_some().then_some(output)
    }

    /// The device has answered.
    pub fn answered(&mut self, answer: &Answer, result: Result<(), String>, now: Instant) {
        let Some((output, pending)) = self.take(|pending| pending.answer == *answer) else { return };
        if let (Ok(()), Some(pulse)) = (&result, pending.pulse)
            && let Some(relay) = self.relays.get_mut(&output)
        {
            relay.off_at = (!self.ends_pulses).then_some(now + pulse);
            relay.free_at = Some(now + pulse + REST);
        }
        tell(pending.reply, result.map_err(NotOpened::Refused));
    }

    /// The output cannot be written: no order under way there was done.
    pub fn failed(&mut self, output: u16) {
        if let Some(pending) = self.relays.get_mut(&output).and_then(|relay| relay.pending.take()) {
            tell(pending.reply, Err(NotOpened::Refused("write".to_owned())));
        }
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        self.relays
            .values()
            .flat_map(|relay| [relay.off_at, relay.free_at, relay.pending.as_ref().filter(|pending| pending.sent).map(|pending| pending.until)])
            .flatten()
            .min()
    }

    /// Ends pulses and waits that are over. Returns the outputs to be put off.
    pub fn due(&mut self, now: Instant) -> Vec<u16> {
        let mut off = Vec::new();
        for (output, relay) in &mut self.relays {
            if relay.off_at.is_some_and(|at| at <= now) {
                relay.off_at = None;
                off.push(*output);
            }
            if relay.free_at.is_some_and(|at| at <= now) {
                relay.free_at = None;
            }
            if let Some(late) = relay.pending.take_if(|pending| pending.sent && pending.until <= now) {
                if late.pulse.is_some() {
                    off.push(*output);
                }
                tell(late.reply, Err(NotOpened::Unknown("the device has not answered".to_owned())));
            }
        }
        off
    }

    fn take(&mut self, which: impl Fn(&Pending) -> bool) -> Option<(u16, Pending)> {
        self.relays.iter_mut().find_map(|(output, relay)| Some((*output, relay.pending.take_if(|pending| which(pending))?)))
    }
}

/// Whoever waited may have given up.
fn tell(reply: Reply, result: Result<(), NotOpened>) {
    let _ = reply.send(result);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULSE: Duration = Duration::from_millis(500);

    fn pending(id: u128, until: Instant) -> (Pending, oneshot::Receiver<Result<(), NotOpened>>) {
        let (reply, done) = oneshot::channel();
        let answer = Answer::Output { output: 0, on: true };
        (Pending { id: Uuid::from_u128(id), answer, until, sent: false, pulse: Some(PULSE), reply }, done)
    }

    #[test]
    fn a_pulse_begins_with_the_answer_and_ends_once() {
        let now = Instant::now();
        let mut relays = Relays::new([0].into_iter(), false);
        let (order, mut done) = pending(1, now + PULSE * 4);
        relays.begin(0, order);
        assert!(relays.busy(0));
        relays.answered(&Answer::Output { output: 0, on: true }, Ok(()), now);
        assert_eq!(done.try_recv(), Ok(Ok(())));
        assert!(relays.busy(0), "it is still on");
        assert_eq!(relays.due(now), [0_u16; 0]);
        assert_eq!(relays.next(), Some(now + PULSE));
        assert_eq!(relays.due(now + PULSE), [0]);
        assert!(relays.busy(0), "the turnstile must see that it went off");
        assert_eq!((relays.next(), relays.due(now + PULSE + REST)), (Some(now + PULSE + REST), vec![]));
        assert!(!relays.busy(0) && relays.next().is_none());
    }

    #[test]
    fn a_pulse_that_the_device_ends_is_waited_for_and_an_unanswered_end_is_not() {
        let now = Instant::now();
        let mut relays = Relays::new([0].into_iter(), true);
        let (order, _done) = pending(1, now + PULSE);
        relays.begin(0, order);
        relays.answered(&Answer::Output { output: 0, on: true }, Ok(()), now);
        assert!(relays.busy(0) && relays.due(now + PULSE).is_empty());
        relays.due(now + PULSE + REST);
        let (end, mut taken_back) = pending(2, now + PULSE);
        relays.begin(0, Pending { pulse: None, ..end });
        assert!(!relays.busy(0), "a guest does not wait for it");
        let (next, _done) = pending(3, now + PULSE);
        relays.begin(0, next);
        assert!(matches!(taken_back.try_recv(), Ok(Err(NotOpened::Unknown(_)))));
    }

    #[test]
    fn an_order_without_an_answer_is_doubtful_and_put_off() {
        let now = Instant::now();
        let mut relays = Relays::new([0].into_iter(), true);
        let (order, mut done) = pending(1, now + PULSE);
        relays.begin(0, order);
        assert!(relays.due(now + PULSE).is_empty() && relays.next().is_none(), "the connection to the broker still has it");
        relays.sent(Uuid::from_u128(1));
        assert_eq!(relays.due(now + PULSE), [0]);
        assert!(matches!(done.try_recv(), Ok(Err(NotOpened::Unknown(_)))));
        let (order, mut done) = pending(2, now + PULSE);
        relays.begin(0, order);
        assert_eq!(relays.doubtful(Uuid::from_u128(2), "x"), Some(0));
        assert!(matches!(done.try_recv(), Ok(Err(NotOpened::Unknown(_)))));
        let (order, mut done) = pending(3, now + PULSE);
        relays.begin(0, order);
        relays.not_sent(Uuid::from_u128(3), NotOpened::Expired);
        assert_eq!(done.try_recv(), Ok(Err(NotOpened::Expired)));
        assert!(relays.due(now + PULSE).is_empty(), "what has not left needs no end");
    }

    #[test]
    fn an_end_takes_an_order_back_and_strangers_are_busy() {
        let now = Instant::now();
        let mut relays = Relays::new([0].into_iter(), true);
        let (first, mut done) = pending(1, now + PULSE);
        relays.begin(0, first);
        let (second, _done) = pending(2, now + PULSE);
        relays.begin(0, second);
        assert!(matches!(done.try_recv(), Ok(Err(NotOpened::Unknown(_)))));
        relays.failed(0);
        assert!(!relays.busy(0));
        assert!(relays.busy(7), "no such output");
    }
}
