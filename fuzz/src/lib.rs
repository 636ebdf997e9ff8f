//! What the fuzz targets do with an input, each a function of plain bytes: `cargo fuzz` drives them, and the project's own tests replay with them what was
//! found (`fuzz/seeds`). A target is a name here and a file of the same name in `fuzz_targets`.

mod buses;
mod controllers;
mod files;
mod guess;
mod line_codecs;
mod remotes;

pub use buses::{codec_gate_board, codec_modbus, codec_osdp};
pub use controllers::{mqtt_devices, web_json};
pub use files::{config, log_reader};
pub use guess::guess;
pub use line_codecs::{codec_colon_lrc, codec_ironlogic, codec_rdm6300, codec_scanner, codec_uid_text, samples};
pub use remotes::{answers_amocrm, answers_bitrix24, answers_lime};

/// What a target does with an input.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("answers_amocrm", answers_amocrm),
    ("answers_bitrix24", answers_bitrix24),
    ("answers_lime", answers_lime),
    ("codec_colon_lrc", codec_colon_lrc),
    ("codec_gate_board", codec_gate_board),
    ("codec_ironlogic", codec_ironlogic),
    ("codec_modbus", codec_modbus),
    ("codec_osdp", codec_osdp),
    ("codec_rdm6300", codec_rdm6300),
    ("codec_scanner", codec_scanner),
    ("codec_uid_text", codec_uid_text),
    ("config", config),
    ("guess", guess),
    ("log_reader", log_reader),
    ("mqtt_devices", mqtt_devices),
    ("web_json", web_json),
];
