//! Bad input and bad luck: each gets a clear word, and loses nothing.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Mode, Rule};

use crate::common::{Venue, wait_for};
use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);

fn problem(status: &serde_json::Value, code: &str) -> bool {
    status["problems"].as_array().is_some_and(|problems| problems.iter().any(|one| one["code"] == code))
}

#[test]
fn an_expired_token_keeps_the_queue_and_says_so() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.fault(Rule::new(Host::Amocrm, Mode::Unauthorized));
    park.open();
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, Duration::from_secs(5)));
    let status = park.venue.wait_status("the refusal is seen", LONG, |status| status["destinations"]["crm"]["error"] == "auth");
    assert_eq!(status["destinations"]["crm"]["waiting"], 1);
    park.venue.wait_status("the problem is named", LONG, |status| problem(status, "T-110"));
    park.venue.output(&["status"], 1);
    park.venue.stop();
    // A person puts a good token in place, and the gateway is started again.
    park.clear_faults();
    park.forget_owners();
    park.open();
    park.wait_drained(1, LONG);
    assert_eq!(park.crm_entries().len(), 1);
}

#[test]
fn a_stage_that_does_not_exist_keeps_passes_and_names_itself() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    std::fs::write(park.venue.config_file(), text.replace("stage = \"Прошёл\"", "stage = \"Ушёл\"")).unwrap();
    let checked = park.venue.command(&["crm", "check"]).output().unwrap();
    assert_eq!(checked.status.code(), Some(1));
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(said.contains("Ушёл") && said.contains("Прошёл"), "{said}");
    park.open();
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, Duration::from_secs(5)));
    park.venue.wait_status("the missing stage is named", LONG, |status| problem(status, "T-112"));
    assert!(park.crm_entries().is_empty());
    // Mended and reloaded, without a restart.
    std::fs::write(park.venue.config_file(), text).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(park.venue.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    park.wait_drained(1, LONG);
    assert_eq!(park.crm_entries().len(), 1);
}

#[test]
fn a_config_with_a_typo_does_not_start_and_says_where() {
    let venue = Venue::new();
    venue.config("[site]\nidd = \"x\"\n");
    let output = venue.command(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("idd") && said.contains("3:1"), "{said}");
}

#[test]
fn a_typo_at_reload_leaves_the_running_config_on() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    std::fs::write(park.venue.config_file(), text.replace("[lime]", "[lemon]")).unwrap();
    let pid = rustix::process::Pid::from_raw(i32::try_from(park.venue.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    assert!(wait_for(Duration::from_secs(10), || park.venue.log().contains("is not applied")), "{}", park.venue.log());
    std::fs::write(park.venue.config_file(), text).unwrap();
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, Duration::from_secs(5)), "the gateway stopped taking passes");
}

#[test]
fn a_second_gateway_on_one_state_folder_is_sent_away() {
    let mut park = Park::new(Host::Amocrm);
    park.open();
    let output = park.venue.command(&["run"]).output().unwrap();
    assert_eq!(output.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&park.venue.pid().to_string()));
}

#[test]
fn garbage_between_passes_is_counted_and_costs_none_of_them() {
    let mut park = Park::new(Host::Amocrm);
    park.set_up_crm();
    park.open();
    let cards: Vec<String> = park.media("card_uid").into_iter().filter(|uid| uid.len() == 8).take(3).collect();
    for card in &cards {
        park.reader.device.write_all(&[0xff; 300]).unwrap();
        park.reader.device.write_all(b"Mifare[ZZ] nonsense\r\n").unwrap();
        park.card(card);
    }
    for text in ["", "{", "[]", "{\"v\":1}", "{\"v\":1,\"id\":\"x\",\"kind\":\"passed\",\"medium\":{\"kind\":\"soul\",\"value\":\"1\"}}"] {
        let port = park.broker.port.to_string();
        let args = ["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "validators/v1/pass", "-m", text];
        assert!(Command::new("mosquitto_pub").args(args).status().unwrap().success());
    }
    let code = park.media("qr").remove(0);
    park.publish("good", "qr", &code);
    park.wait_drained(4, LONG);
    let status = park.venue.status().unwrap();
    assert!(status["gates"]["n1"]["bad_frames"].as_u64() >= Some(3), "{status:#}");
    assert!(status["gates"]["v1"]["bad_frames"].as_u64() >= Some(4), "{status:#}");
}

#[test]
fn a_validator_that_floods_loses_nothing_and_keeps_the_gateway_small() {
    const MESSAGES: usize = 10_000;
    let mut park = Park::new(Host::Amocrm);
    park.fault(Rule::new(Host::Lime, Mode::Unavailable { retry_after_s: Some(1) }));
    park.open();
    let port = park.broker.port.to_string();
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "validators/v1/pass", "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = publisher.stdin.take().unwrap();
    for n in 0..MESSAGES {
        writeln!(stdin, "{{\"v\":1,\"id\":\"f-{n}\",\"kind\":\"passed\",\"medium\":{{\"kind\":\"qr\",\"value\":\"FLOOD-{n}\"}},\"dir\":\"in\"}}")
            .unwrap();
    }
    drop(stdin);
    assert!(publisher.wait().unwrap().success());
    // The other gates go on meanwhile.
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, Duration::from_secs(10)), "the flood starves the scanner");
    park.venue.wait_status("the flood is stored", LONG, |status| status["passes"].as_u64() >= Some(MESSAGES as u64 + 1));
    let memory = std::fs::read_to_string(format!("/proc/{}/status", park.venue.pid())).unwrap();
    let rss: u64 = memory.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    println!("resident after {MESSAGES} messages with Lime away: {rss} KiB");
    assert!(rss < 160 * 1024, "{rss} KiB");
    let ids: std::collections::BTreeSet<_> = park.journal().iter().filter_map(|pass| pass["device"]["record"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), MESSAGES);
}

#[test]
fn a_full_disk_refuses_passes_and_takes_them_again_when_there_is_room() {
    let mut park = Park::with(Host::Amocrm, "[journal]\nsegment = \"64KiB\"\n");
    park.set_up_crm();
    let disk = park.venue.state_dir();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(&disk).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("SKIPPED: a small disk needs the right to mount");
        return;
    }
    let unmount = Unmount(disk.clone());
    park.open();
    let codes = park.media("qr");
    assert!(park.code(&codes[0], Duration::from_secs(5)));
    // Another program fills the disk.
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    let mut taken = 1;
    let noticed = wait_for(LONG, || {
        taken += usize::from(park.code(&codes[taken % 150 + 1], Duration::from_secs(1)));
        park.venue.status().is_some_and(|status| !status["journal"]["failing"].is_null())
    });
    assert!(noticed, "a full disk was never noticed");
    assert!(!park.code(&codes[155], Duration::from_secs(1)), "acknowledged without room");
    std::fs::remove_file(&filler).unwrap();
    assert!(wait_for(LONG, || park.code(&codes[160], Duration::from_secs(2))), "it does not recover");
    taken += 1;
    park.venue.wait_status("the journal is well again", LONG, |status| status["journal"]["failing"].is_null());
    let stored = park.journal().len();
    assert!(stored >= taken, "acknowledged {taken}, stored {stored}");
    park.venue.stop();
    drop(unmount);
}

struct Unmount(std::path::PathBuf);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
