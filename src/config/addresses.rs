//! Addresses: https wherever others could listen, plain only to this machine.

use std::net::IpAddr;

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It does not parse, has no host, or carries a query or fragment.
    Form,
    /// Plain, and not to this machine.
    Plain,
    /// It names a user or password.
    UserInfo,
}

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Without the slash at the end.
    pub(super) path: String,
}

impl Address {
    /// Reads `scheme://host[:port][/path]`.
    pub(super) fn parse(text: &str) -> Result<Self, Bad> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Bad::Form);
        }
        let uri: http::Uri = text.parse().map_err(|_| Bad::Form)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(Bad::Form) };
        if authority.as_str().contains('@') {
            return Err(Bad::UserInfo);
        }
        let after_host = authority.as_str().strip_prefix(authority.host()).ok_or(Bad::Form)?;
        let port_ok = after_host.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
        if authority.host().is_empty() || !port_ok || uri.query().is_some() || text.contains('#') {
            return Err(Bad::Form);
        }
        Ok(Self {
            scheme: scheme.to_ascii_lowercase(),
            host: authority.host().trim_matches(['[', ']']).to_ascii_lowercase(),
            port: authority.port_u16(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// Whether it is this machine, by its name or number.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost" || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// Without a slash at the end.
    pub(super) fn text(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{host}{port}{}", self.scheme, self.path)
    }
}

/// An address for HTTP: `https`, or `http` to this machine.
pub(super) fn web(text: &str) -> Result<Address, Bad> {
    let address = Address::parse(text)?;
    match address.scheme.as_str() {
        "https" => Ok(address),
        "http" if address.is_loopback() => Ok(address),
        "http" => Err(Bad::Plain),
        _ => Err(Bad::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_to_this_machine_only() {
        for (text, written) in [
            ("https://lime.example/gw/v1/", "https://lime.example/gw/v1"),
            ("HTTPS://Lime.Example:8443", "https://lime.example:8443"),
            ("http://127.0.0.1:8080/gw/v1", "http://127.0.0.1:8080/gw/v1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost", "http://localhost"),
        ] {
            assert_eq!(web(text).map(|address| address.text()).as_deref(), Ok(written), "{text}");
        }
        for text in ["http://lime.example", "http://127.0.0.1.example", "http://localhost.example", "http://10.0.0.1"] {
            assert_eq!(web(text), Err(Bad::Plain), "{text}");
        }
        for text in [
            "",
            "lime.example",
            "https://",
            "https:///x",
            "ftp://x",
            "https://x?y=1",
            "https://x/#z",
            "https://x y",
            "https://x:0",
            "https://x:99999",
            "https://x:",
            "//x",
        ] {
            assert_eq!(web(text), Err(Bad::Form), "{text}");
        }
        assert_eq!(web("https://user:secret@x"), Err(Bad::UserInfo));
    }
}
