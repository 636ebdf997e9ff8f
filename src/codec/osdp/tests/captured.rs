//! Frames captured between implementations of others, at address 1.

use super::super::frame::Outgoing;
use super::super::*;

const ID: &[u8] = &[0xff, 0x53, 0x01, 0x09, 0x00, 0x04, 0x61, 0x00, 0x60, 0x23];
const CAP: &[u8] = &[0xff, 0x53, 0x01, 0x09, 0x00, 0x05, 0x62, 0x00, 0x03, 0x41];
const POLL: &[u8] = &[0xff, 0x53, 0x01, 0x08, 0x00, 0x06, 0x60, 0xd8, 0x66];
const OUT: &[u8] = &[0xff, 0x53, 0x01, 0x0c, 0x00, 0x07, 0x68, 0x00, 0x05, 0x0a, 0x00, 0xa5, 0xfe];
pub(super) const PDID: &[u8] =
    &[0x53, 0x81, 0x14, 0x00, 0x04, 0x45, 0xbe, 0xba, 0xfe, 0x01, 0x01, 0xaf, 0xbe, 0xad, 0xde, 0xad, 0xde, 0xad, 0x89, 0xfa];
pub(super) const ACK: &[u8] = &[0x53, 0x81, 0x08, 0x00, 0x06, 0x40, 0x6a, 0x60];
pub(super) const RAW: &[u8] = &[0x53, 0x81, 0x10, 0x00, 0x06, 0x50, 0x00, 0x01, 0x1a, 0x00, 0xa1, 0x68, 0xde, 0x40, 0xe9, 0x46];

fn sent(sequence: u8, command: &Command) -> Vec<u8> {
    let frame = Outgoing { address: 1, answer: false, sequence, check: Check::Crc, security: None, code: command.code(), data: &command.data() };
    frame.encode(None)
}

fn received(bytes: &[u8]) -> Reply {
    let mut frames = Vec::new();
    Deframer::new(Check::Crc).push(bytes, &mut frames);
    let frame = frames.first().expect("a frame");
    assert!(frame.is_answer());
    assert_eq!(frame.address(), 1);
    let (code, data) = frame.body().expect("a body");
    Reply::parse(code, data).expect("an answer")
}

#[test]
fn commands_are_the_captured_bytes() {
    assert_eq!(sent(0, &Command::Identity), ID);
    assert_eq!(sent(1, &Command::Capabilities), CAP);
    assert_eq!(sent(2, &Command::Poll), POLL);
    assert_eq!(sent(3, &Command::Output { number: 0, to: Output::OnFor { tenths: 10 } }), OUT);
}

#[test]
fn a_challenge_has_the_captured_header() {
    let frame = Outgoing { address: 1, answer: false, sequence: 2, check: Check::Crc, security: Some((0x11, &[1])), code: 0x76, data: &[7; 8] };
    assert_eq!(frame.encode(None)[..10], [0xff, 0x53, 0x01, 0x13, 0x00, 0x0e, 0x03, 0x11, 0x01, 0x76]);
}

#[test]
fn answers_say_what_was_captured() {
    assert_eq!(received(ACK), Reply::Ack);
    let identity = Identity { vendor: [0xbe, 0xba, 0xfe], model: 1, version: 1, serial: 0xdead_beaf, firmware: [0xad, 0xde, 0xad] };
    assert_eq!(received(PDID), Reply::Identity(identity));
    let Reply::Card(card) = received(RAW) else { panic!("no card") };
    let medium = card.medium(&CardOptions { wiegand26: true, ..CardOptions::default() }).unwrap();
    assert_eq!((medium.value.reveal(), medium.format.as_str()), ("42D1BC", "osdp/wiegand-26"));
}

#[test]
fn a_session_begins_as_the_captured_one() {
    let settings = Settings { address: 1, check: Check::Crc, access: Access::Clear, inputs: false, outputs: Vec::new() };
    let (mut session, mut events) = (Session::new(settings), Vec::new());
    assert_eq!(session.next(0, &mut || [0; 8], &mut events), Next::Send(ID.to_vec()));
    let mut frames = Vec::new();
    Deframer::new(Check::Crc).push(PDID, &mut frames);
    assert!(session.answer(&frames[0], 10, &mut events));
    assert_eq!(session.next(20, &mut || [0; 8], &mut events), Next::Send(CAP.to_vec()));
}
