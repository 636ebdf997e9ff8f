//! Ports for servers that a test starts, stops and starts again.

use std::net::TcpListener;

/// A port of this machine that is free just now. Below the range that the kernel hands out by itself, so that no outgoing connection takes it while its
/// server is away; another test may, so whoever starts a server looks whether it lives and takes the next one if not.
pub fn free_port() -> u16 {
    std::iter::repeat_with(|| fastrand::u16(10_000..30_000)).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).expect("a free port")
}
