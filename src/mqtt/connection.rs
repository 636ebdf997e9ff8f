//! One connection: an event loop of its own, polled by a task of its own that never awaits the client.
//!
//! `EventLoop::poll` is not cancel safe (it may hold a packet it has counted but not written), so it is cancelled only to be thrown away. Packet ids,
//! buffered events and rumqttc's pending list die with the connection: none of them can be taken for one of the next.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event as LoopEvent, EventLoop, LastWill, MqttOptions, NetworkOptions, Outgoing};
use rumqttc::{Packet, QoS, SubscribeReasonCode, Transport};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use crate::config::MqttConfig;
use crate::domain::Secret;

use super::client::{MAX_PAYLOAD, Shared, locked};
use super::incoming::{Incoming, Route, Verdict};
use super::tls::Tls;

/// rumqttc's limit of messages in flight; its packet ids wrap there. The outbox hands over far fewer.
const RUMQTTC_INFLIGHT: u16 = 1_000;
/// The channel into rumqttc: publishes in flight, subscriptions and acknowledgements together stay below it.
const CHANNEL: usize = 2_048;
/// The longest packet read. One beyond it would end each connection anew, so it is far above what is kept of a payload: the message can be taken,
/// acknowledged and counted as bad.
const MAX_INCOMING: usize = 16 * 1024 * 1024;
const MAX_OUTGOING: usize = MAX_PAYLOAD + 16 * 1024;
/// For TCP, TLS, CONNACK and each flush.
const NETWORK_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens on the connection, in its order.
#[derive(Debug)]
pub(super) enum Event {
    /// CONNACK.
    Accepted { session_present: bool },
    /// The oldest publish not yet numbered has this packet id.
    Assigned(u16),
    /// PUBACK.
    Acknowledged(u16),
    /// The oldest subscription not yet numbered has this packet id.
    Asked(u16),
    /// SUBACK.
    Answered(u16, bool),
    /// A message came that is to be acknowledged: its number on the connection, and its packet id.
    Received(u64, u16),
    /// A message came for a topic that nobody subscribes to any more.
    Unwanted(Incoming),
    /// It is over; why, in one line.
    Ended(String),
}

/// An open connection. Dropping it ends its tasks.
pub(super) struct Wire {
    pub client: AsyncClient,
    pub events: mpsc::UnboundedReceiver<Event>,
    _tasks: JoinSet<()>,
}

/// What a connection needs to know.
pub(super) struct Setting<'a> {
    pub config: &'a MqttConfig,
    pub password: Option<&'a Secret>,
    pub tls: Option<&'a Tls>,
    pub number: u64,
    pub will_topic: &'a str,
    pub will: Vec<u8>,
    pub keep_alive: Duration,
    pub shared: &'a Arc<Shared>,
    pub verdicts: &'a mpsc::UnboundedSender<Verdict>,
}

impl Wire {
    /// Connects and waits for the CONNACK.
    ///
    /// # Errors
    /// Why there is no connection, in one line without secrets.
    pub async fn open(setting: Setting<'_>) -> Result<(Self, bool), String> {
        let mut tasks = JoinSet::new();
        let config = setting.config;
        let mut options = match setting.tls {
            Some(tls) => {
                let path = tls.bridge(config, NETWORK_TIMEOUT, &mut tasks).await?;
                let mut options = MqttOptions::new(config.client_id.clone(), path, config.port);
                options.set_transport(Transport::unix());
                options
            }
            // rumqttc joins host and port by a colon.
            None if config.host.contains(':') => MqttOptions::new(config.client_id.clone(), format!("[{}]", config.host), config.port),
            None => MqttOptions::new(config.client_id.clone(), config.host.clone(), config.port),
        };
        options
            .set_keep_alive(setting.keep_alive)
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_inflight(RUMQTTC_INFLIGHT)
            .set_max_packet_size(MAX_INCOMING, MAX_OUTGOING)
            .set_last_will(LastWill::new(setting.will_topic, setting.will, QoS::AtLeastOnce, true));
        if let Some(password) = setting.password {
            options.set_credentials(config.user.clone().unwrap_or_else(|| config.client_id.clone()), password.reveal());
        } else if let Some(user) = &config.user {
            options.set_credentials(user.clone(), "");
        }
        let (client, mut eventloop) = AsyncClient::new(options, CHANNEL);
        let mut network = NetworkOptions::new();
        network.set_connection_timeout(NETWORK_TIMEOUT.as_secs());
        network.set_tcp_nodelay(true);
        eventloop.set_network_options(network);

        let (sender, mut events) = mpsc::unbounded_channel();
        let poller = Poller {
            number: setting.number,
            patience: setting.keep_alive.mul_f64(1.5),
            shared: Arc::clone(setting.shared),
            verdicts: setting.verdicts.clone(),
            events: sender,
        };
        tasks.spawn(poller.run(eventloop));
        match events.recv().await {
            Some(Event::Accepted { session_present }) => Ok((Self { client, events, _tasks: tasks }, session_present)),
            Some(Event::Ended(why)) => Err(why),
            _ => Err("the connection ended before the broker's answer".to_owned()),
        }
    }
}

struct Poller {
    number: u64,
    patience: Duration,
    shared: Arc<Shared>,
    verdicts: mpsc::UnboundedSender<Verdict>,
    events: mpsc::UnboundedSender<Event>,
}

impl Poller {
    async fn run(self, mut eventloop: EventLoop) {
        let why = self.poll(&mut eventloop).await;
        // Nobody listens when the connection was given up: then nobody needs to know.
        let _ = self.events.send(Event::Ended(why));
    }

    async fn poll(&self, eventloop: &mut EventLoop) -> String {
        let mut heard = Instant::now();
        let mut receipt = 0;
        loop {
            let event = match timeout_at(heard + self.patience, eventloop.poll()).await {
                Err(_) => return "nothing was heard from the broker for 1.5 keep-alives".to_owned(),
                Ok(Err(error)) => return explain(&error),
                Ok(Ok(event)) => event,
            };
            if matches!(event, LoopEvent::Incoming(_)) {
                heard = Instant::now();
            }
            let told = match event {
                LoopEvent::Incoming(Packet::ConnAck(answer)) => Event::Accepted { session_present: answer.session_present },
                LoopEvent::Incoming(Packet::PubAck(answer)) => Event::Acknowledged(answer.pkid),
                LoopEvent::Incoming(Packet::SubAck(answer)) => {
                    let granted = answer.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                    Event::Answered(answer.pkid, granted)
                }
                LoopEvent::Incoming(Packet::Publish(publish)) => {
                    receipt += 1;
                    if publish.pkid != 0 {
                        let _ = self.events.send(Event::Received(receipt, publish.pkid));
                    }
                    let message = Incoming::new(publish, self.number, receipt, &self.verdicts);
                    match self.deliver(message).await {
                        Ok(None) => {}
                        Ok(Some(unwanted)) => {
                            let _ = self.events.send(Event::Unwanted(unwanted));
                        }
                        Err(why) => return why,
                    }
                    // Waiting for a full subscription is not the broker's silence.
                    heard = Instant::now();
                    continue;
                }
                LoopEvent::Outgoing(Outgoing::Publish(packet)) => Event::Assigned(packet),
                LoopEvent::Outgoing(Outgoing::Subscribe(packet)) => Event::Asked(packet),
                LoopEvent::Outgoing(Outgoing::AwaitAck(_)) => return "packet ids collided: the broker left a message unacknowledged".to_owned(),
                _ => continue,
            };
            let _ = self.events.send(told);
        }
    }

    /// Gives a message to its subscription; waits when that is full, which holds the broker back. Returns a message that nobody wants.
    async fn deliver(&self, message: Incoming) -> Result<Option<Incoming>, String> {
        let route = locked(&self.shared.registry).route(message);
        let (sender, message) = match route {
            Route::Kept => return Ok(None),
            Route::Unwanted(message) => return Ok(Some(message)),
            Route::To(sender, message) => (sender, message),
        };
        match sender.try_send(message) {
            Ok(()) => Ok(None),
            Err(TrySendError::Closed(message)) => {
                message.leave();
                Ok(None)
            }
            Err(TrySendError::Full(message)) => match timeout(self.patience / 2, sender.send(message)).await {
                Ok(Ok(())) => Ok(None),
                Ok(Err(closed)) => {
                    closed.0.leave();
                    Ok(None)
                }
                Err(_) => Err("messages come faster than they can be stored".to_owned()),
            },
        }
    }
}

/// One line for status and log. rumqttc's own texts hold neither credentials nor payloads.
fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized) => {
            "the broker refuses the user name or password".to_owned()
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => "the broker refuses the client id".to_owned(),
        ConnectionError::NetworkTimeout => format!("the broker did not answer within {} s", NETWORK_TIMEOUT.as_secs()),
        ConnectionError::Io(error) => format!("cannot connect: {error}"),
        other => other.to_string(),
    }
}
