//! A real ext4 on a loop device: a writer is stopped, the device's image is copied as it stands, mounted and opened. Needs root.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use limegate::journal::{HostDisk, Journal, Options, Store};

use crate::campaign::Campaign;
use crate::facts::{append, clock, id_of, options, pass};

/// Where the writer finds its folder; set only in the process that this test starts.
const FOLDER: &str = "LIMEGATE_TEST_EXT4_WRITER";

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let out = Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
    if out.status.success() { Ok(()) } else { Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&out.stderr).trim())) }
}

/// A mounted image; unmounted when dropped.
struct Mounted {
    at: PathBuf,
}

impl Mounted {
    fn new(image: &Path, at: PathBuf) -> Result<Self, String> {
        std::fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        run("mount", &["-o", "loop", &image.display().to_string(), &at.display().to_string()])?;
        Ok(Self { at })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &[&self.at.display().to_string()]) {
            eprintln!("{error}");
        }
    }
}

struct Writer {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Writer {
    fn start(dir: &Path) -> Result<Self, String> {
        let exe = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(exe)
            .args(["--exact", "ext4::writer", "--nocapture", "--test-threads", "1"])
            .env(FOLDER, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let out = child.stdout.take().ok_or("no output")?;
        Ok(Self { child, lines: BufReader::new(out).lines() })
    }

    /// Reads acknowledgements until there are so many.
    fn acknowledged(&mut self, count: usize) -> Result<Vec<u64>, String> {
        let mut acked = Vec::new();
        while acked.len() < count {
            let line = self.lines.next().ok_or("the writer ended")?.map_err(|error| error.to_string())?;
            acked.extend(line.strip_prefix("ack ").and_then(|id| id.parse::<u64>().ok()));
        }
        Ok(acked)
    }

    /// Stops it dead, where it stands.
    fn freeze(&self) -> Result<(), String> {
        run("kill", &["-STOP", &self.child.id().to_string()])
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not a test by itself: what the campaign's writer process runs.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let settings = Options { segment_bytes: 64 * 1024, ..options(Path::new(&dir), clock()) };
    let journal = Journal::open(Arc::new(HostDisk), settings).unwrap();
    let first = journal.read(0, usize::MAX).unwrap().iter().filter_map(|entry| id_of(&entry.record)).max().unwrap_or(0) + 1;
    let mut out = std::io::stdout();
    // Ends by itself should nobody stop it.
    for id in first..first + 100_000 {
        append(&journal, vec![pass(id, id % 17)]).unwrap();
        if id % 64 == 0 {
            journal.checkpoint();
        }
        writeln!(out, "\nack {id}").unwrap();
        out.flush().unwrap();
    }
}

fn cut(base: &Path, dice: &mut fastrand::Rng) -> Result<(), String> {
    let (image, copy) = (base.join("disk.img"), base.join("copy.img"));
    let count = dice.usize(20..400);
    let mut acked = {
        let mounted = Mounted::new(&image, base.join("a"))?;
        let mut writer = Writer::start(&mounted.at.join("journal"))?;
        let acked = writer.acknowledged(count)?;
        writer.freeze()?;
        std::fs::copy(&image, &copy).map_err(|error| error.to_string())?;
        drop(writer);
        acked
    };
    let mounted = Mounted::new(&copy, base.join("b"))?;
    let journal = Journal::open(Arc::new(HostDisk), options(&mounted.at.join("journal"), clock())).map_err(|error| error.to_string())?;
    let held: Vec<u64> = journal.read(0, usize::MAX).map_err(|error| error.to_string())?.iter().filter_map(|entry| id_of(&entry.record)).collect();
    acked.retain(|id| !held.contains(id));
    if !acked.is_empty() {
        return Err(format!("acknowledged passes {acked:?} are lost"));
    }
    if !held.iter().copied().eq(1..=held.len() as u64) {
        return Err("passes are missing or doubled in the middle".to_owned());
    }
    let report = journal.verify().map_err(|error| error.to_string())?;
    if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings)) }
}

#[test]
fn ext4() {
    let base = tempfile::tempdir().unwrap();
    let image = base.path().join("disk.img");
    let made = std::fs::File::create(&image).and_then(|file| file.set_len(64 << 20)).map_err(|error| error.to_string());
    let made = made.and_then(|()| run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]));
    let made = made.and_then(|()| Mounted::new(&image, base.path().join("a")).map(drop));
    if let Err(why) = made {
        println!("ext4: SKIPPED, for it needs root, mkfs.ext4 and a loop device: {why}");
        eprintln!("ext4: SKIPPED, for it needs root, mkfs.ext4 and a loop device: {why}");
        return;
    }
    let mut campaign = Campaign::new("ext4", 20);
    let mut dice = fastrand::Rng::with_seed(campaign.seed);
    let mut laps = 0;
    while campaign.more() {
        campaign.trial(cut(base.path(), &mut dice));
        laps += 1;
        // The journal goes on from cut to cut on one disk, until that is well used.
        if laps % 20 == 0 {
            run("mkfs.ext4", &["-q", "-F", &image.display().to_string()]).unwrap();
        }
    }
    campaign.end();
}
