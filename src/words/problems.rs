//! What a problem is, and what to do about it.

super::words! {
    NOTHING_TO_DO: "Ничего делать не нужно.", "Nothing to do.";
}
