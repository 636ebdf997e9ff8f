//! A board's pins on the kernel's simulated GPIO chip (`gpio-sim`), where it is there: it takes root, configfs and the module.

use std::fs;
use std::path::{Path, PathBuf};

use limegate::board::Line;
use limegate::config::GpioLines;
use limegate::device::gpio::{Pin, open};

const SIMULATED: &str = "/sys/kernel/config/gpio-sim";

/// A simulated chip of four lines, gone with the value.
struct Chip {
    config: PathBuf,
    name: String,
    lines: PathBuf,
}

impl Chip {
    fn new() -> Option<Self> {
        let config = Path::new(SIMULATED).join(format!("limegate-{}", std::process::id()));
        fs::create_dir(&config).ok()?;
        let chip = Self::live(&config);
        if chip.is_none() {
            take_down(&config);
        }
        chip
    }

    fn live(config: &Path) -> Option<Self> {
        let bank = config.join("bank0");
        fs::create_dir(&bank).ok()?;
        fs::write(bank.join("num_lines"), "4").ok()?;
        fs::write(config.join("live"), "1").ok()?;
        let read = |file: PathBuf| Some(fs::read_to_string(file).ok()?.trim().to_owned());
        let (name, device) = (read(bank.join("chip_name"))?, read(config.join("dev_name"))?);
        let lines = Path::new("/sys/devices/platform").join(device).join(&name);
        Some(Self { config: config.to_owned(), name, lines })
    }

    fn line(&self, name: &str, line: u32) -> Line {
        Line { name: name.to_owned(), kernel_name: None, chip: self.name.clone(), line, active_low: false }
    }

    fn value(&self, line: u32) -> String {
        fs::read_to_string(self.lines.join(format!("sim_gpio{line}/value"))).unwrap().trim().to_owned()
    }

    fn pull(&self, line: u32, up: bool) {
        fs::write(self.lines.join(format!("sim_gpio{line}/pull")), if up { "pull-up" } else { "pull-down" }).unwrap();
    }
}

fn take_down(config: &Path) {
    let _ = fs::write(config.join("live"), "0");
    let _ = fs::remove_dir(config.join("bank0"));
    let _ = fs::remove_dir(config);
}

impl Drop for Chip {
    fn drop(&mut self) {
        take_down(&self.config);
    }
}

#[tokio::test]
async fn a_simulated_chip_is_switched_read_back_and_watched() {
    let Some(chip) = Chip::new() else {
        eprintln!(
            "SKIPPED: no simulated GPIO chip in {SIMULATED}. As root: modprobe gpio-sim (Linux 5.17 and later, CONFIG_GPIO_SIM=m) and mount -t configfs \
             none /sys/kernel/config; then run this test as root. What the driver does with pins is tested without: cargo test --lib device::gpio"
        );
        return;
    };
    let (outputs, inputs) = (vec![chip.line("open-1", 0)], vec![chip.line("passed-1", 1)]);
    let lines = GpioLines { outputs, inputs, ..GpioLines::default() };
    chip.pull(1, false);
    let mut pins = open(&lines).unwrap();
    assert!(!pins.is_on(Pin::Output(0)).unwrap() && chip.value(0) == "0", "off when it is taken");
    pins.set(Pin::Output(0), true).unwrap();
    assert!(pins.is_on(Pin::Output(0)).unwrap() && chip.value(0) == "1");
    pins.set(Pin::Output(0), false).unwrap();
    assert_eq!(chip.value(0), "0");
    chip.pull(1, true);
    assert_eq!(pins.edge().await.unwrap(), (0, true));
    chip.pull(1, false);
    assert_eq!(pins.edge().await.unwrap(), (0, false));
    let taken = open(&lines).err().expect("the lines are taken").to_string();
    assert!(taken.contains("open-1"), "{taken}");
    assert!(pins.set(Pin::Green, true).is_err(), "the board has none");
}

#[test]
fn lines_that_are_not_there_are_named() {
    let line = Line { name: "open-1".into(), kernel_name: Some("no such line".into()), chip: "no such chip".into(), line: 0, active_low: false };
    let error = open(&GpioLines { outputs: vec![line], ..GpioLines::default() }).err().expect("no such chip").to_string();
    assert!(error.contains("open-1"), "{error}");
}
