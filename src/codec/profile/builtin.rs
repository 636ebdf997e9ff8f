//! The profiles that are built in: every file of `config/readers/`.

/// Name and text, sorted by name.
pub(super) const ALL: &[(&str, &str)] = &[
    ("colon-lrc", include_str!("../../../config/readers/colon-lrc.toml")),
    ("ironlogic-matrix3", include_str!("../../../config/readers/ironlogic-matrix3.toml")),
    ("ironlogic-matrix3-net", include_str!("../../../config/readers/ironlogic-matrix3-net.toml")),
    ("ironlogic-z2", include_str!("../../../config/readers/ironlogic-z2.toml")),
    ("rdm6300", include_str!("../../../config/readers/rdm6300.toml")),
    ("scanner-cipherlab", include_str!("../../../config/readers/scanner-cipherlab.toml")),
    ("scanner-cr", include_str!("../../../config/readers/scanner-cr.toml")),
    ("scanner-crlf", include_str!("../../../config/readers/scanner-crlf.toml")),
    ("scanner-datalogic", include_str!("../../../config/readers/scanner-datalogic.toml")),
    ("scanner-honeywell", include_str!("../../../config/readers/scanner-honeywell.toml")),
    ("scanner-idle", include_str!("../../../config/readers/scanner-idle.toml")),
    ("scanner-lf", include_str!("../../../config/readers/scanner-lf.toml")),
    ("scanner-mertech-ack", include_str!("../../../config/readers/scanner-mertech-ack.toml")),
    ("scanner-newland", include_str!("../../../config/readers/scanner-newland.toml")),
    ("scanner-stx-etx", include_str!("../../../config/readers/scanner-stx-etx.toml")),
    ("uid-dec", include_str!("../../../config/readers/uid-dec.toml")),
    ("uid-hex", include_str!("../../../config/readers/uid-hex.toml")),
    ("uid-w26pair", include_str!("../../../config/readers/uid-w26pair.toml")),
];
