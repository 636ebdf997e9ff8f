//! A script that plays a device behind the broker: it knows the convention and nothing of the gateway.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use uuid::Uuid;

/// Topic, payload, retained.
pub type Message = (String, String, bool);

/// A device's script: it hears the topics it asked for and answers each message with others. It comes back when the broker does.
pub struct Device {
    client: AsyncClient,
    pub heard: Arc<Mutex<Vec<Message>>>,
    task: JoinHandle<()>,
}

impl Device {
    pub async fn playing(port: u16, filter: &str, react: impl FnMut(&str, &str) -> Vec<Message> + Send + 'static) -> Self {
        Self::watched(port, filter, react).await.0
    }

    /// The same, with how many times the broker has had it.
    pub async fn watched(
        port: u16,
        filter: &str,
        mut react: impl FnMut(&str, &str) -> Vec<Message> + Send + 'static,
    ) -> (Self, watch::Receiver<u32>) {
        let mut options = MqttOptions::new(format!("device-{}", Uuid::new_v4().simple()), "127.0.0.1", port);
        options.set_keep_alive(Duration::from_secs(5));
        let (client, mut events) = AsyncClient::new(options, 100);
        let (heard, filter) = (Arc::new(Mutex::new(Vec::new())), filter.to_owned());
        let (subscribed, mut connected) = watch::channel(0);
        let (own, told) = (client.clone(), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => own.try_subscribe(&filter, QoS::AtLeastOnce).unwrap(),
                    Ok(Event::Incoming(Packet::SubAck(_))) => subscribed.send_modify(|times| *times += 1),
                    Ok(Event::Incoming(Packet::Publish(publish))) => {
                        let text = String::from_utf8(publish.payload.to_vec()).unwrap();
                        for (topic, payload, retain) in react(&publish.topic, &text) {
                            own.try_publish(topic, QoS::AtLeastOnce, retain, payload).unwrap();
                        }
                        told.lock().unwrap().push((publish.topic, text, publish.retain));
                    }
                    Ok(_) => {}
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        connected.wait_for(|times| *times > 0).await.unwrap();
        (Self { client, heard, task }, connected)
    }

    pub async fn says(&self, topic: &str, payload: &str, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.unwrap();
    }

    /// What it heard on topics that end so.
    pub fn heard(&self, end: &str) -> Vec<String> {
        self.heard.lock().unwrap().iter().filter(|(topic, ..)| topic.ends_with(end)).map(|(_, payload, _)| payload.clone()).collect()
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}
