//! What a service manager sees of the gateway: ready, alive, stopping, and an end in time.

use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Mode, Rule};

use crate::common::wait_for;
use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

#[test]
fn the_service_manager_hears_when_it_is_ready_alive_and_stopping_and_what_cannot_be_drained_is_left_on_disk() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.fault(Rule::new(Host::Lime, Mode::Hang { committed: false }));
    let path = park.venue.folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let log = std::fs::File::create(park.venue.folder.path().join("log")).unwrap();
    let mut gateway = park
        .venue
        .command(&["run", "--log", "json"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut heard = String::new();
    let mut hears = |word: &str, times: usize| {
        let mut buffer = [0; 4_096];
        let found = wait_for(LONG, || {
            if let Ok(len) = manager.recv(&mut buffer) {
                heard.push_str(&String::from_utf8_lossy(&buffer[..len]));
                heard.push('\n');
            }
            heard.lines().filter(|line| *line == word).count() >= times
        });
        assert!(found, "{word} was not said {times} times:\n{heard}");
    };
    hears("READY=1", 1);
    hears("WATCHDOG=1", 3);
    park.wait_open();
    let codes = park.media("qr");
    assert!(park.code(&codes[0], LONG), "what Lime does not answer to is no reason not to take a pass");
    let pid = rustix::process::Pid::from_child(&gateway);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    hears("STOPPING=1", 1);
    assert!(wait_for(LONG, || gateway.try_wait().unwrap().is_some()), "it waits for Lime");
    assert_eq!(gateway.wait().unwrap().code(), Some(0));
    assert_eq!(park.journal().len(), 1);
    let log = park.venue.log();
    assert!(log.lines().count() > 3, "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["level"].is_string() && !line.to_string().contains(&codes[0]), "{line}");
    }
}
