//! docker-registry, and a stand-in for the network in front of it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::support::Layout;

/// docker-registry with what it stores; killed with its value.
pub(super) struct Registry {
    pub(super) process: Child,
    pub(super) address: String,
    pub(super) dir: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Whether what the tests drive is here; says so where it is not.
pub(super) fn is_equipped() -> bool {
    let missing = ["docker-registry", "skopeo", "htpasswd"]
        .into_iter()
        .find(|tool| {
            Command::new(tool)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_err()
        });
    if let Some(tool) = missing {
        eprintln!("skipped: {tool} is not installed");
    }
    missing.is_none()
}

impl Registry {
    /// Starts one on a free port; `more` is added to its configuration.
    pub(super) fn start(more: impl FnOnce(&Path) -> serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut wanted = json!({
            "version": "0.1",
            "log": {"level": "info", "formatter": "json"},
            "storage": {"filesystem": {"rootdirectory": dir.path().join("data")}},
            "http": {"addr": "127.0.0.1:0", "secret": "s"},
        });
        merge(&mut wanted, more(dir.path()));
        let file = dir.path().join("config.yml");
        // JSON is YAML.
        fs::write(&file, wanted.to_string()).unwrap();
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut all = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "docker-registry ended: {all}"
            );
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest
                    .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | ':'))
                    .unwrap_or(rest.len());
                break rest[..end].to_owned();
            }
            all.push_str(&line);
        };
        // Nobody reads on: it must not wait for room in the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self {
            process,
            address,
            dir,
        }
    }

    pub(super) fn plain() -> Self {
        Self::start(|_| json!({}))
    }

    pub(super) fn push(&self, layout: &Layout, tag: &str, name: &str, options: &[&str]) {
        let mut command = Command::new("skopeo");
        command
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false", "--quiet"])
            .args(options);
        command
            .arg(layout.reference(tag))
            .arg(format!("docker://{}/{name}", self.address));
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(json!(null)), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// What the way to a registry does to those who take it.
#[derive(Default)]
pub(super) struct Trouble {
    /// Connections that end in the midst of a blob.
    pub(super) cuts: AtomicUsize,
    pub(super) ignores_ranges: bool,
    /// Another content than was asked for.
    pub(super) lies: bool,
    pub(super) wants_token: bool,
    /// Manifests that never end.
    pub(super) is_endless: bool,
    /// Fails so often before it works.
    pub(super) outages: AtomicUsize,
    /// Blobs asked for, each with its range.
    pub(super) asked: Mutex<Vec<String>>,
}

/// Stands in front of a registry.
pub(super) struct Front {
    pub(super) address: String,
    pub(super) trouble: Arc<Trouble>,
}

impl Front {
    pub(super) async fn of(registry: &Registry, trouble: Trouble) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let trouble = Arc::new(trouble);
        let (shared, upstream, own) = (trouble.clone(), registry.address.clone(), address.clone());
        let serve = move |request: Request| {
            let (trouble, upstream, own) = (shared.clone(), upstream.clone(), own.clone());
            async move { answer(&trouble, &upstream, &own, request).await }
        };
        let router = axum::Router::new().fallback(serve);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, trouble }
    }

    pub(super) fn asked(&self) -> Vec<String> {
        self.trouble.asked.lock().unwrap().clone()
    }
}

fn takes_one(counter: &AtomicUsize) -> bool {
    counter
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

async fn answer(trouble: &Trouble, upstream: &str, own: &str, request: Request) -> Response {
    let path = request.uri().path_and_query().unwrap().as_str().to_owned();
    if takes_one(&trouble.outages) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if path.starts_with("/token") {
        let is_right = request
            .headers()
            .get(header::AUTHORIZATION)
            .is_some_and(|value| value == "Basic dTpw");
        return match is_right
            && path.contains("scope=repository%3Aa%2Fb%3Apull")
            && path.contains("service=here")
        {
            true => json!({"token": "t0ken", "expires_in": 300})
                .to_string()
                .into_response(),
            false => StatusCode::FORBIDDEN.into_response(),
        };
    }
    let token = request.headers().get(header::AUTHORIZATION).cloned();
    if trouble.wants_token && token.is_none_or(|token| token != "Bearer t0ken") {
        let challenge =
            format!("Bearer realm=\"http://{own}/token\",service=\"here\",scope=\"repository:a/b:pull\"");
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response();
    }
    if trouble.is_endless {
        let forever =
            futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65536])));
        return Body::from_stream(forever).into_response();
    }
    pass_on(trouble, upstream, &path, request.headers()).await
}

async fn pass_on(trouble: &Trouble, upstream: &str, path: &str, headers: &HeaderMap) -> Response {
    let is_blob = path.contains("/blobs/");
    let mut sent = reqwest::Client::new().get(format!("http://{upstream}{path}"));
    for value in headers.get_all(header::ACCEPT) {
        sent = sent.header(header::ACCEPT, value);
    }
    let range = headers.get(header::RANGE).filter(|_| !trouble.ignores_ranges);
    if let Some(range) = range {
        sent = sent.header(header::RANGE, range);
    }
    if is_blob {
        let range = range.map_or("", |range| range.to_str().unwrap());
        trouble.asked.lock().unwrap().push(format!("{path} {range}"));
    }
    let got = sent.send().await.unwrap();
    let mut response = Response::builder().status(got.status());
    for name in [header::CONTENT_TYPE, header::CONTENT_RANGE] {
        if let Some(value) = got.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let mut bytes = got.bytes().await.unwrap().to_vec();
    if is_blob && trouble.lies && bytes.len() > 4096 {
        bytes[2000] ^= 1;
    }
    if is_blob && bytes.len() > 4096 && takes_one(&trouble.cuts) {
        let half = Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
        let broken = [Ok(half), Err(std::io::Error::other("cut"))];
        return response
            .body(Body::from_stream(futures::stream::iter(broken)))
            .unwrap();
    }
    response.body(Body::from(bytes)).unwrap()
}
