//! Gate boards.
