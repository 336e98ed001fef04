//! Logins, from a file as Docker writes it (`~/.docker/config.json`).

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;

/// The largest file of logins, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Why the file of logins cannot be used.
#[derive(Debug, Error)]
pub enum CredentialsError {
    #[error("registry logins {path}: {error}")]
    Io { path: String, error: std::io::Error },
    #[error("registry logins {path}: {reason}")]
    Malformed { path: String, reason: String },
}

/// A user of a registry. Its debug form keeps the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
    Password {
        user: String,
        password: String,
    },
    /// Sent as it is.
    Bearer(String),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user}, ..)"),
            Self::Bearer(_) => f.write_str("Bearer(..)"),
        }
    }
}

/// All logins, by registry or by registry and the beginning of a repository.
#[derive(Debug, Default)]
pub(crate) struct Logins(BTreeMap<String, Login>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Docker {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
struct Auth {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    registrytoken: String,
    #[serde(default)]
    identitytoken: String,
}

impl Logins {
    /// Reads the file. What it says that this agent cannot do is an error. Blocks.
    pub(crate) fn read(path: &Path) -> Result<Self, CredentialsError> {
        let shown = || path.display().to_string();
        let io = |error| CredentialsError::Io { path: shown(), error };
        let malformed = |reason: String| CredentialsError::Malformed {
            path: shown(),
            reason,
        };
        let mut text = String::new();
        let read = File::open(path)
            .map_err(io)?
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(io)?;
        if read as u64 > MAX_FILE_BYTES {
            return Err(malformed(format!("it is larger than {MAX_FILE_BYTES} bytes")));
        }
        // The parser's message could show what is secret.
        let file: Docker = serde_json::from_str(&text).map_err(|error| {
            malformed(format!(
                "line {}, column {}: not as Docker writes it",
                error.line(),
                error.column()
            ))
        })?;
        if file.creds_store.is_some() || !file.cred_helpers.is_empty() {
            return Err(malformed("credential helpers are not supported".to_owned()));
        }
        let mut logins = BTreeMap::new();
        for (key, auth) in file.auths {
            let login = login(auth).map_err(|reason| malformed(format!("{key}: {reason}")))?;
            logins.insert(plain_key(&key), login);
        }
        Ok(Self(logins))
    }

    /// The login for a repository: of the longest key that it is below.
    pub(crate) fn find(&self, registry: &str, repository: &str) -> Option<&Login> {
        let full = format!("{registry}/{repository}");
        let mut key = full.as_str();
        loop {
            if let Some(login) = self.0.get(key) {
                return Some(login);
            }
            key = key.rsplit_once('/')?.0;
        }
    }
}

fn plain_key(key: &str) -> String {
    let key = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let key = key.trim_end_matches("/v1").trim_end_matches("/v2");
    match key {
        "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        key => key.to_owned(),
    }
}

fn login(auth: Auth) -> Result<Login, &'static str> {
    if !auth.registrytoken.is_empty() {
        return Ok(Login::Bearer(auth.registrytoken));
    }
    if !auth.identitytoken.is_empty() {
        return Err("identity tokens are not supported");
    }
    if auth.auth.is_empty() {
        return Ok(Login::Password {
            user: auth.username,
            password: auth.password,
        });
    }
    let decoded = STANDARD
        .decode(auth.auth.trim())
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let (user, password) = decoded
        .as_deref()
        .and_then(|text| text.split_once(':'))
        .ok_or("`auth` is no base64 of user:password")?;
    // Docker pads old passwords with NULs.
    Ok(Login::Password {
        user: user.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Logins, CredentialsError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Logins::read(file.path())
    }

    #[test]
    fn the_login_of_the_longest_key_is_taken() {
        let logins = read(
            r#"{"auths": {"https://index.docker.io/v1/": {"auth": "YTpi"}, "r.io": {"username": "u", "password": "p"},
                "r.io/team": {"registrytoken": "t"}}}"#,
        )
        .unwrap();
        let password = |user: &str, password: &str| Login::Password {
            user: user.into(),
            password: password.into(),
        };
        assert_eq!(logins.find("docker.io", "library/x"), Some(&password("a", "b")));
        assert_eq!(logins.find("r.io", "other/x"), Some(&password("u", "p")));
        assert_eq!(logins.find("r.io", "team/x"), Some(&Login::Bearer("t".into())));
        assert_eq!(logins.find("r.io:5000", "team/x"), None);
        assert!(!format!("{logins:?}").contains("\"p\""));
    }

    #[test]
    fn what_cannot_be_done_is_an_error_that_shows_no_secret() {
        for bad in [
            r#"{"auths": {"r.io": {"auth": "not base64!"}}}"#,
            r#"{"auths": {"r.io": {"identitytoken": "s3cret"}}}"#,
            r#"{"credsStore": "desktop"}"#,
            r#"{"auths": "s3cret"}"#,
        ] {
            let error = read(bad).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
