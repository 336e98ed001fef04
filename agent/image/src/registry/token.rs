//! Answers a registry's challenge: with the login itself, or with a token that is had for it.
//!
//! See the distribution project's "Token Authentication Specification".

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Response, Url};
use serde::Deserialize;

use super::credentials::Login;
use super::{Endpoint, RegistryError, Repository, body, challenges, message, secret, transport};

/// The largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// What a token is good for when its server does not say; see the specification.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// The longest life that is believed.
const MAX_LIFE: Duration = Duration::from_secs(3600);
/// A token is not used this shortly before its end.
const MARGIN: Duration = Duration::from_secs(10);
/// Tokens that are kept; all are forgotten when there would be more.
const MAX_TOKENS: usize = 1024;

/// Whom a token is for: endpoint and repository.
pub(super) type TokenKey = (String, String);

/// The value of an `Authorization` header, and when it ends.
pub(super) struct Token {
    value: HeaderValue,
    end: Instant,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Repository<'_> {
    pub(super) fn cached_token(&self, endpoint: &Endpoint) -> Option<HeaderValue> {
        let tokens = self.client.tokens.lock().ok()?;
        let token = tokens.get(&self.token_key(endpoint))?;
        (token.end > Instant::now()).then(|| token.value.clone())
    }

    fn token_key(&self, endpoint: &Endpoint) -> TokenKey {
        (endpoint.base.to_string(), self.name.clone())
    }

    /// Finds out what a registry wants to see, and gets it.
    pub(super) async fn authorize(
        &self,
        endpoint: &Endpoint,
        response: &Response,
    ) -> Result<HeaderValue, RegistryError> {
        let url = response.url();
        let unusable = || RegistryError::Answer {
            url: url.to_string(),
            what: "a challenge",
        };
        // Where a redirect led, nobody may ask for the login.
        if url.origin() != endpoint.base.origin() {
            return Err(unusable());
        }
        let login = self.logins.find(&endpoint.name, &self.name);
        if let Some(Login::Bearer(token)) = login {
            return secret(&format!("Bearer {token}")).ok_or_else(unusable);
        }
        let headers = challenges(response);
        let all: Vec<_> = headers
            .iter()
            .filter_map(|text| http_auth::parse_challenges(text).ok())
            .flatten()
            .collect();
        if let Some(bearer) = all.iter().find(|one| one.scheme.eq_ignore_ascii_case("bearer")) {
            let field = |name: &str| {
                let mut fields = bearer.params.iter();
                fields
                    .find(|(key, _)| key.eq_ignore_ascii_case(name))
                    .map(|(_, value)| value.to_unescaped())
            };
            let mut realm: Url = field("realm")
                .and_then(|realm| realm.parse().ok())
                .ok_or_else(unusable)?;
            let is_safe =
                realm.scheme() == "https" || (realm.scheme() == "http" && endpoint.base.scheme() == "http");
            if !is_safe {
                return Err(unusable());
            }
            let scope = format!("repository:{}:pull", self.name);
            realm
                .query_pairs_mut()
                .append_pair("scope", &scope)
                .extend_pairs(field("service").map(|one| ("service", one)));
            return self.fetch_token(endpoint, realm, login).await;
        }
        if all.iter().any(|one| one.scheme.eq_ignore_ascii_case("basic")) {
            let login = login.ok_or_else(|| RegistryError::NoLogin { url: url.to_string() })?;
            let value = basic(login).ok_or_else(unusable)?;
            self.keep(endpoint, value.clone(), MAX_LIFE);
            return Ok(value);
        }
        Err(unusable())
    }

    async fn fetch_token(
        &self,
        endpoint: &Endpoint,
        realm: Url,
        login: Option<&Login>,
    ) -> Result<HeaderValue, RegistryError> {
        let mut request = self.client.http.get(realm.clone());
        if let Some(value) = login.and_then(basic) {
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(|error| transport(&realm, &error))?;
        let status = response.status();
        // The query is not shown: it is long, and nobody wrote it.
        let url = format!("{}{}", realm.origin().ascii_serialization(), realm.path());
        if status.is_client_error() {
            return Err(match login {
                Some(_) => RegistryError::Refused {
                    url,
                    message: message(response).await,
                },
                None => RegistryError::NoLogin { url },
            });
        }
        if !status.is_success() {
            return Err(RegistryError::Status {
                url,
                status,
                message: message(response).await,
            });
        }
        let unusable = || RegistryError::Answer {
            url: url.clone(),
            what: "a token",
        };
        let answer: Answer =
            serde_json::from_slice(&body(response, MAX_TOKEN_BYTES).await?).map_err(|_| unusable())?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(unusable)?;
        let value = secret(&format!("Bearer {token}")).ok_or_else(unusable)?;
        self.keep(
            endpoint,
            value.clone(),
            answer
                .expires_in
                .map_or(DEFAULT_LIFE, Duration::from_secs)
                .min(MAX_LIFE),
        );
        Ok(value)
    }

    fn keep(&self, endpoint: &Endpoint, value: HeaderValue, life: Duration) {
        if let Ok(mut tokens) = self.client.tokens.lock() {
            if tokens.len() >= MAX_TOKENS {
                tokens.clear();
            }
            let end = Instant::now() + life.saturating_sub(MARGIN);
            tokens.insert(self.token_key(endpoint), Token { value, end });
        }
    }
}

fn basic(login: &Login) -> Option<HeaderValue> {
    match login {
        Login::Password { user, password } => secret(&format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        )),
        Login::Bearer(_) => None,
    }
}
