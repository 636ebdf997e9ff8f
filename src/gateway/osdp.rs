//! The OSDP lines of the config, where the devices decide by themselves.

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Config, SecretError};
use crate::device::{Parts, osdp};

/// Starts every line. `parts` makes what a driver is given from where its signals go.
///
/// # Errors
/// When a reader's key cannot be read.
pub(super) fn start(
    config: &Config,
    parts: impl Fn(mpsc::Sender<crate::device::Signalled>) -> Parts,
    tasks: &mut JoinSet<()>,
) -> Result<(), SecretError> {
    for line in osdp::lines(config, |gate| (osdp::wiring(gate), gate.door.is_none()))? {
        // Nobody here acts on signals: a pass at such a gate is told by its card alone.
        let (signals, _) = mpsc::channel(1);
        tasks.spawn(osdp::start(line, parts(signals)).task);
    }
    Ok(())
}
