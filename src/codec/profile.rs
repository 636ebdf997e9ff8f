//! Reader profiles: data in `config/readers/`.

/// How to talk to one kind of reader.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// The name that the config uses: `ironlogic-z2`.
    pub name: String,
}
