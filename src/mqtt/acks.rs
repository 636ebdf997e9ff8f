//! The order of acknowledgements. A client must send its PUBACKs in the order in which the messages came (MQTT 3.1.1, section 4.6); some brokers end the
//! connection otherwise. Messages become durable in any order, so what is ready early waits for what came before it.
//!
//! Pure. Never: an acknowledgement of a message nobody acknowledged.

use std::collections::{HashMap, VecDeque};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ready {
    Acknowledge,
    Skip,
}

/// The messages of one connection that are not yet acknowledged. Each has a receipt, its number on the connection, for packet ids are used again.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// In the order of their coming.
    open: VecDeque<(u64, u16)>,
    ready: HashMap<u64, Ready>,
}

impl Acks {
    /// A message came. Returns the packet ids that may be acknowledged now.
    pub fn received(&mut self, receipt: u64, packet: u16) -> Vec<u16> {
        self.open.push_back((receipt, packet));
        self.release()
    }

    /// Its receiver has it on disk.
    pub fn acknowledged(&mut self, receipt: u64) -> Vec<u16> {
        self.ready.insert(receipt, Ready::Acknowledge);
        self.release()
    }

    /// It stays with the broker; the others need not wait for it.
    pub fn left(&mut self, receipt: u64) -> Vec<u16> {
        self.ready.insert(receipt, Ready::Skip);
        self.release()
    }

    fn release(&mut self) -> Vec<u16> {
        let mut packets = Vec::new();
        while let Some((receipt, packet)) = self.open.front().copied()
            && let Some(ready) = self.ready.remove(&receipt)
        {
            self.open.pop_front();
            if ready == Ready::Acknowledge {
                packets.push(packet);
            }
        }
        packets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ready_early_waits_for_what_came_before() {
        let mut acks = Acks::default();
        for (receipt, packet) in [(1, 10), (2, 11), (3, 12), (4, 13)] {
            assert!(acks.received(receipt, packet).is_empty());
        }
        assert!(acks.acknowledged(2).is_empty());
        assert!(acks.acknowledged(4).is_empty());
        assert_eq!(acks.acknowledged(1), [10, 11]);
        assert_eq!(acks.left(3), [13], "one that is left to the broker holds nobody up");
    }

    #[test]
    fn an_acknowledgement_that_overtakes_the_news_of_its_message_waits_for_it() {
        let mut acks = Acks::default();
        assert!(acks.acknowledged(1).is_empty());
        assert_eq!(acks.received(1, 7), [7]);
    }

    #[test]
    fn a_packet_id_used_again_is_another_message() {
        let mut acks = Acks::default();
        assert!(acks.received(1, 7).is_empty());
        assert_eq!(acks.acknowledged(1), [7]);
        assert!(acks.received(2, 7).is_empty(), "nobody has acknowledged this one");
    }
}
