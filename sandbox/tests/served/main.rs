//! The sandbox behind real sockets: cuts that are cuts, TLS that verifies, clients written by others.

mod binary;
mod cuts;
mod peers;
mod tls;
