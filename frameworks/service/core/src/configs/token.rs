//! What an agent shows to read what a task is to have: proof that it was given that task.
//!
//! A token is a code over the task's id (HMAC-SHA-256, RFC 2104, its first 128 bits), under a key that only the framework has.
//! So none is kept, each is good for one task, and whoever reads the list of tasks has none.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Bytes of a token; it is written as twice as many hexadecimal digits.
const N_BYTES: usize = 16;

/// The framework's key. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Of random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn token(&self, task_id: &str) -> String {
        let mut token = String::with_capacity(2 * N_BYTES);
        if let Some(code) = self.code(task_id) {
            for byte in code.finalize().into_bytes().iter().take(N_BYTES) {
                // Writing to a string cannot fail.
                let _ = write!(token, "{byte:02x}");
            }
        }
        token
    }

    /// Whether it is that task's, in a time that says nothing of how much of it is right.
    pub(crate) fn is_of(&self, task_id: &str, token: &str) -> bool {
        let bytes = decoded(token);
        let code = self.code(task_id).zip(bytes);
        code.is_some_and(|(code, bytes)| code.verify_truncated_left(&bytes).is_ok())
    }

    fn code(&self, task_id: &str) -> Option<Hmac<Sha256>> {
        // Keys of any length will do.
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        code.update(task_id.as_bytes());
        Some(code)
    }
}

/// As many bytes as a token has; else none.
fn decoded(token: &str) -> Option<[u8; N_BYTES]> {
    if token.len() != 2 * N_BYTES || !token.is_ascii() {
        return None;
    }
    let mut bytes = [0; N_BYTES];
    for (byte, nth) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(token.get(nth..nth + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_task_alone() {
        let key = Key::new([7; 32]);
        let token = key.token("web.0.1");
        assert_eq!(token.len(), 32);
        assert!(key.is_of("web.0.1", &token));
        let near = format!("{}0", &token[..31]);
        for (task, token) in [
            ("web.0.2", token.as_str()),
            ("web.0.1", ""),
            ("web.0.1", &token[..2]),
            ("web.0.1", "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1"),
            ("web.0.1", &near),
        ] {
            assert!(
                !key.is_of(task, token) || token == key.token("web.0.1"),
                "{token}"
            );
        }
        assert!(!Key::new([8; 32]).is_of("web.0.1", &token));
    }
}
