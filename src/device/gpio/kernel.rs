//! The kernel's GPIO character device, second ABI (Linux 5.10 and later), by the crate `gpiocdev`.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gpiocdev::line::{Bias, EdgeDetection, EdgeKind, Value};
use gpiocdev::{Chip, Request};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::sync::mpsc;

use super::pins::{Edge, Pin, Pins};
use crate::board::Line;
use crate::config::GpioLines;

/// A contact that bounces longer is not one of a turnstile.
const DEBOUNCE: Duration = Duration::from_millis(10);
/// Who uses the lines, for `gpioinfo`.
const CONSUMER: &str = "limegate";
/// Edges that wait for the driver.
const EDGES: usize = 64;
/// The thread that waits for edges looks so often whether anybody listens: a fifth of a second.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

struct Kernel {
    outputs: BTreeMap<Pin, Request>,
    inputs: Arc<Vec<Request>>,
    /// From the thread that waits for edges; it ends when nobody listens any more.
    edges: mpsc::Receiver<io::Result<(u16, bool)>>,
}

/// Takes the lines: outputs off, contacts watched.
///
/// # Errors
/// When a line is not there, or somebody else has it; the error names it.
pub fn open(lines: &GpioLines) -> io::Result<Box<dyn Pins>> {
    let numbered = lines.outputs.iter().zip(0..).map(|(line, number)| (Pin::Output(number), line));
    let lights = [(Pin::Green, &lines.green), (Pin::Red, &lines.red), (Pin::Buzzer, &lines.buzzer)];
    let lights = lights.into_iter().filter_map(|(pin, line)| Some((pin, line.as_ref()?)));
    let outputs = numbered.chain(lights).map(|(pin, line)| Ok((pin, output(line)?))).collect::<io::Result<_>>()?;
    let inputs = Arc::new(lines.inputs.iter().map(input).collect::<io::Result<Vec<_>>>()?);
    let (told, edges) = mpsc::channel(EDGES);
    let watched = Arc::clone(&inputs);
    std::thread::Builder::new().name("gpio".to_owned()).spawn(move || watch(&watched, &told))?;
    Ok(Box::new(Kernel { outputs, inputs, edges }))
}

fn output(line: &Line) -> io::Result<Request> {
    let (chip, offset) = find(line)?;
    let mut builder = Request::builder();
    builder.on_chip(chip).with_consumer(CONSUMER).with_line(offset);
    if line.active_low {
        builder.as_active_low();
    }
    builder.as_output(Value::Inactive).request().map_err(|error| named(line, &error))
}

fn input(line: &Line) -> io::Result<Request> {
    let (chip, offset) = find(line)?;
    let mut builder = Request::builder();
    builder.on_chip(chip).with_consumer(CONSUMER).with_line(offset).as_input();
    if line.active_low {
        // A dry contact to ground needs something to pull the line up.
        builder.as_active_low().with_bias(Bias::PullUp);
    }
    builder.with_edge_detection(EdgeDetection::BothEdges).with_debounce_period(DEBOUNCE).request().map_err(|error| named(line, &error))
}

/// By the line's name on whatever chip; else by chip, as device name or label, and offset.
fn find(line: &Line) -> io::Result<(PathBuf, u32)> {
    if let Some(found) = line.kernel_name.as_deref().and_then(gpiocdev::find_named_line) {
        return Ok((found.chip, found.info.offset));
    }
    let own = |path: &PathBuf| {
        let info = Chip::from_path(path).and_then(|chip| chip.info());
        info.is_ok_and(|info| info.name == line.chip || info.label == line.chip)
    };
    let chip = gpiocdev::chip::chips().map_err(|error| named(line, &error))?.into_iter().find(own);
    chip.map(|chip| (chip, line.line)).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{}: no chip {} here", line.name, line.chip)))
}

fn named(line: &Line, error: &gpiocdev::Error) -> io::Error {
    let named = line.kernel_name.as_deref().unwrap_or(&line.chip);
    io::Error::other(format!("{} ({named}): {error}", line.name))
}

fn missing() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the board has no such line")
}

impl Pins for Kernel {
    fn set(&mut self, pin: Pin, on: bool) -> io::Result<()> {
        let request = self.outputs.get(&pin).ok_or_else(missing)?;
        request.set_lone_value(if on { Value::Active } else { Value::Inactive }).map_err(io::Error::other)
    }

    fn is_on(&mut self, pin: Pin) -> io::Result<bool> {
        let value = match pin {
            Pin::Input(number) => self.inputs.get(usize::from(number)).ok_or_else(missing)?.lone_value(),
            output => self.outputs.get(&output).ok_or_else(missing)?.lone_value(),
        };
        Ok(value.map_err(io::Error::other)? == Value::Active)
    }

    fn edge(&mut self) -> Edge<'_> {
        Box::pin(async {
            match self.edges.recv().await {
                Some(edge) => edge,
                None => Err(io::Error::other("nobody watches the contacts any more")),
            }
        })
    }
}

/// Waits for edges of all contacts until nobody listens.
fn watch(inputs: &[Request], told: &mpsc::Sender<io::Result<(u16, bool)>>) {
    while !told.is_closed() {
        if let Err(error) = look(inputs, told) {
            // Whoever listened may have gone; this ends in either case.
            let _ = told.blocking_send(Err(error));
            return;
        }
    }
}

fn look(inputs: &[Request], told: &mpsc::Sender<io::Result<(u16, bool)>>) -> io::Result<()> {
    let mut waits: Vec<PollFd<'_>> = inputs.iter().map(|input| PollFd::new(input, PollFlags::IN)).collect();
    match rustix::event::poll(&mut waits, Some(&LOOK)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let ready: Vec<bool> = waits.iter().map(|wait| !wait.revents().is_empty()).collect();
    for ((input, number), _) in inputs.iter().zip(0..).zip(ready).filter(|(_, ready)| *ready) {
        while input.has_edge_event().map_err(io::Error::other)? {
            let event = input.read_edge_event().map_err(io::Error::other)?;
            if told.blocking_send(Ok((number, event.kind == EdgeKind::Rising))).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}
