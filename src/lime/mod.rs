//! lime
