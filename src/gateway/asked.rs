//! Readers that are asked and told, whether this box decides at their gates or not: OSDP lines, and controllers that come over HTTP.
//!
//! Never: a line that a door opens with ended before that door has taken its outputs off.

use crate::config::Config;
use crate::device::{Parts, Started, osdp, web_json};
use crate::door::LetIn;

use super::controllers::{self, Controllers};
use super::remotes::SetupError;

/// Starts all of them: those at whose gates nobody decides here, and those that doors are served by. `let_in`: whom the doors let in shortly before this
/// start. `observing` ends with the readers, `deciding` after the doors.
///
/// # Errors
/// When a reader's key cannot be read.
pub(super) fn start(
    config: &Config,
    controllers: &Controllers,
    let_in: &[LetIn],
    observing: impl Fn() -> Parts,
    deciding: impl Fn() -> Parts,
) -> Result<(Vec<Started>, Vec<Started>), SetupError> {
    let (mut observed, mut decided) = (Vec::new(), Vec::new());
    for line in osdp::lines(config, |gate| (osdp::wiring(gate), gate.door.is_none()))? {
        // A line with both serves its doors to their end.
        if line.readers.iter().all(|reader| reader.grants) {
            observed.push(osdp::start(line, observing()));
        } else {
            decided.push(osdp::start(line, deciding()));
        }
    }
    if let Some(controllers) = controllers::of(config, controllers, let_in) {
        if controllers.controllers.iter().any(|controller| controller.online) {
            decided.push(web_json::start(controllers, deciding(), None));
        } else {
            observed.push(web_json::start(controllers, observing(), None));
        }
    }
    Ok((observed, decided))
}
