//! The profiles that are built in: every file of `config/readers/`.

/// Name and text, sorted by name.
pub(super) const ALL: &[(&str, &str)] = &[
    ("ironlogic-matrix3", include_str!("../../../config/readers/ironlogic-matrix3.toml")),
    ("ironlogic-matrix3-net", include_str!("../../../config/readers/ironlogic-matrix3-net.toml")),
    ("ironlogic-z2", include_str!("../../../config/readers/ironlogic-z2.toml")),
    ("rdm6300", include_str!("../../../config/readers/rdm6300.toml")),
    ("scanner-cr", include_str!("../../../config/readers/scanner-cr.toml")),
    ("scanner-crlf", include_str!("../../../config/readers/scanner-crlf.toml")),
    ("scanner-idle", include_str!("../../../config/readers/scanner-idle.toml")),
    ("scanner-lf", include_str!("../../../config/readers/scanner-lf.toml")),
    ("scanner-mertech-ack", include_str!("../../../config/readers/scanner-mertech-ack.toml")),
    ("scanner-stx-etx", include_str!("../../../config/readers/scanner-stx-etx.toml")),
];
