//! What a person pastes after allowing the integration in a browser: the address to which they were sent, or the code in it.
//!
//! Never: a code of another login or account taken; a host from a pasted address talked to. Such hosts are only compared with the configured one.

use crate::domain::Secret;

/// Shorter than this, it is a word and no code.
const SHORTEST: usize = 16;

/// Why what was pasted is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    /// There is no code in it.
    #[error("there is no `code=` in that; paste the whole address to which the browser was sent, or the code alone")]
    NoCode,
    /// It is the answer to another login.
    #[error("that is the answer to another login (its `state` is not ours); open the address above once more")]
    OtherState,
    /// It comes from another account.
    #[error("that is for the account {0}, and the config names {1}")]
    OtherAccount(String, String),
}

/// The code in what a person pasted. `state` is ours; `host_parameter` is where the CRM names the account (`referer`, `domain`), `account_url` the
/// configured one.
///
/// # Errors
/// When there is no code, or it is not for this login and account.
pub fn pasted_code(pasted: &str, state: &str, host_parameter: &str, account_url: &str) -> Result<Secret, PasteError> {
    let pasted = pasted.trim();
    let Some((_, query)) = pasted.split_once('?') else {
        let is_code = pasted.len() >= SHORTEST && pasted.chars().all(|character| character.is_ascii_alphanumeric() || "-_.~=".contains(character));
        return if is_code { Ok(Secret::new(pasted)) } else { Err(PasteError::NoCode) };
    };
    let query = query.split('#').next().unwrap_or_default();
    let parameter = |name: &str| {
        let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| decoded(value)).filter(|value| !value.is_empty())
    };
    if parameter("state").is_some_and(|other| other != state) {
        return Err(PasteError::OtherState);
    }
    let own = host_of(account_url).unwrap_or_default();
    let other = parameter(host_parameter).map(|url| host_of(&url).unwrap_or_default());
    if let Some(other) = other.filter(|other| *other != own) {
        return Err(PasteError::OtherAccount(other.chars().take(80).collect(), own));
    }
    parameter("code").map(Secret::new).ok_or(PasteError::NoCode)
}

/// The host of an address, without its port.
#[must_use]
pub fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Percent-decoding of a query value.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let half = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
                match (half(ahead.next()), half(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes.push(high * 16 + low);
                        rest = ahead;
                    }
                    _ => bytes.push(byte),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_from_our_login_and_our_account_only() {
        let paste = |text: &str| pasted_code(text, "st-1", "referer", "https://park.amocrm.ru").map(|code| code.reveal().to_owned());
        let back = "https://park.example/back?code=def502%2B00&referer=park.amocrm.ru&state=st-1&client_id=id&from_widget=1";
        assert_eq!(paste(back), Ok("def502+00".into()));
        assert_eq!(paste(&format!(" {} \n", "a".repeat(40))), Ok("a".repeat(40)));
        assert_eq!(paste("https://park.example/back?error=access_denied&state=st-1"), Err(PasteError::NoCode));
        assert_eq!(paste("hello"), Err(PasteError::NoCode));
        assert_eq!(paste(&back.replace("st-1", "st-2")), Err(PasteError::OtherState));
        for host in ["other.amocrm.ru", "park.amocrm.ru.evil.example", "evil.example", "park.amocrm.ru%40evil.example"] {
            assert!(matches!(paste(&back.replace("park.amocrm.ru", host)), Err(PasteError::OtherAccount(..))), "{host}");
        }
    }

    #[test]
    fn odd_percent_signs_are_left_as_they_are() {
        assert_eq!(decoded("a%2Bb+c%zz%4"), "a+b c%zz%4");
        assert_eq!(host_of("https://user@Park.amocrm.ru:443/x"), Some("park.amocrm.ru".into()));
    }
}
