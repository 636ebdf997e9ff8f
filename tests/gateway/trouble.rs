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
    assert!(park.code(&code, LONG));
    park.venue.wait_status("the refusal is seen, the pass waits", LONG, |status| {
        status["destinations"]["crm"]["error"] == "auth" && status["destinations"]["crm"]["waiting"] == 1
    });
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
    assert!(park.code(&code, LONG));
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

/// The text of the problem with the config file, as `status` shows it.
fn config_problem(status: &serde_json::Value) -> Option<String> {
    let problems = status["problems"].as_array()?;
    problems.iter().find(|one| one["code"] == "C-000")?["text"]["en"].as_str().map(str::to_owned)
}

/// What `limegate check` says first.
fn first_mistake(venue: &Venue) -> String {
    let checked: serde_json::Value = serde_json::from_str(&venue.output(&["check", "--json", "--lang", "en"], 78)).unwrap();
    checked["diagnostics"][0]["message"].as_str().unwrap().to_owned()
}

fn hang_up(park: &Park) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(park.venue.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
}

#[test]
fn a_typo_at_reload_leaves_the_running_config_on_and_is_a_problem_until_it_is_mended() {
    let mut park = Park::new(Host::Amocrm);
    park.open();
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    std::fs::write(park.venue.config_file(), text.replace("[lime]", "[lemon]")).unwrap();
    hang_up(&park);
    let status = park.venue.wait_status("the mistake is a problem", LONG, |status| config_problem(status).is_some());
    let said = config_problem(&status).unwrap();
    assert!(said.contains(&first_mistake(&park.venue)) && said.contains("lemon"), "{said}");
    let table = park.venue.output(&["status", "--lang", "ru"], 0);
    assert!(table.contains("C-000 Файл настроек на диске не применён"), "{table}");
    let port = park.broker.port.to_string();
    let health = || {
        let args = ["-h", "127.0.0.1", "-p", &port, "-t", "limegate/1/test/test-north/health", "-C", "1", "-W", "30"];
        String::from_utf8(Command::new("mosquitto_sub").args(args).output().unwrap().stdout).unwrap()
    };
    assert!(wait_for(LONG, || health().contains("C-000")), "{}", health());
    let codes = park.media("qr");
    assert!(park.code(&codes[0], LONG), "the gateway stopped taking passes");

    std::fs::write(park.venue.config_file(), text).unwrap();
    hang_up(&park);
    park.venue.wait_status("the problem is gone", LONG, |status| config_problem(status).is_none());
    park.wait_open();
    assert!(park.code(&codes[1], LONG), "the gateway stopped taking passes");
}

#[test]
fn a_gateway_that_starts_with_a_broken_file_goes_on_with_the_last_good_config_and_says_so() {
    let mut park = Park::new(Host::Amocrm);
    park.open();
    park.venue.stop();
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let copy = std::fs::read_to_string(park.venue.state_dir().join("last-good.toml")).unwrap();
    assert!(copy.ends_with(&text) && !copy.contains(park.sandbox().addresses.lime_token.as_deref().unwrap()));
    std::fs::write(park.venue.config_file(), text.replace("service_point", "service_pint")).unwrap();
    park.open();
    let status = park.venue.status().unwrap();
    let said = config_problem(&status).expect("C-000");
    assert!(said.contains(&first_mistake(&park.venue)), "{said}");
    assert!(park.venue.log().contains("service_pint") && park.venue.log().contains("the last good one"), "{}", park.venue.log());
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, LONG), "no pass is taken");
    park.venue.stop();
    // The copy is of that file and of no other.
    let other = park.venue.config_file().with_file_name("other.toml");
    std::fs::write(&other, text.replace("service_point", "service_pint")).unwrap();
    let mut command = Command::new(park.venue.command(&[]).get_program());
    assert_eq!(command.args(["run", "--config"]).arg(&other).output().unwrap().status.code(), Some(78));

    std::fs::write(park.venue.config_file(), text).unwrap();
    park.open();
    assert_eq!(config_problem(&park.venue.status().unwrap()), None);
}

#[test]
fn a_config_that_checks_and_cannot_be_set_up_gives_way_to_the_one_before_it() {
    let mut park = Park::new(Host::Amocrm);
    park.open();
    let text = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let at = text.find("token = { file = \"crm\" }").unwrap();
    let oauth = "oauth = { client_id = \"9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d\", client_secret = { file = \"crm\" }, redirect_uri = \"https://park.example/\" }";
    let broken = format!("{}{oauth}{}", &text[..at], &text[at + "token = { file = \"crm\" }".len()..]);
    std::fs::write(park.venue.config_file(), &broken).unwrap();
    std::fs::create_dir_all(park.venue.state_dir().join("oauth")).unwrap();
    std::fs::write(park.venue.state_dir().join("oauth/amocrm.json"), "no pair").unwrap();
    park.venue.output(&["check"], 0);
    hang_up(&park);
    let status = park.venue.wait_status("the trouble is a problem", LONG, |status| config_problem(status).is_some());
    assert!(config_problem(&status).unwrap().contains("not an OAuth pair"), "{status:#}");
    park.wait_open();
    park.venue.stop();
    // At a start as well.
    park.open();
    assert!(config_problem(&park.venue.status().unwrap()).is_some());
    let code = park.media("qr").remove(0);
    assert!(park.code(&code, LONG), "no pass is taken");
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
    assert!(park.code(&code, LONG), "the flood starves the scanner");
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
    assert!(park.code(&codes[0], LONG));
    // Another program fills the disk.
    let filler = disk.join("filler");
    let fill = || {
        let mut file = std::fs::File::options().create(true).append(true).open(&filler).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    };
    fill();
    let mut taken = 1;
    let noticed = wait_for(LONG, || {
        taken += usize::from(park.code(&codes[taken % 150 + 1], Duration::from_secs(1)));
        park.venue.status().is_some_and(|status| !status["journal"]["failing"].is_null())
    });
    assert!(noticed, "a full disk was never noticed");
    // An ACK of before may still come, and what the journal gave back may take some more; without room there is none. Each code is a new one: one that was
    // stored is acknowledged whenever it is said again.
    let mut tries = 0;
    let refused = wait_for(LONG, || {
        fill();
        tries += 1;
        !park.late_acknowledgement() && !park.code(&format!("NO-ROOM-{tries}"), Duration::from_secs(1))
    });
    assert!(refused, "acknowledged without room");
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
