//! amoCRM (Kommo), REST API v4.
