//! Fetching from a server that behaves, and from servers that do not.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::digest::hex;

const CONTENT: &[u8] = b"what is served, in several pieces if need be";

/// What was asked of the server: the `Range` and `If-None-Match` of each request.
#[derive(Debug, Default)]
struct Asked(Mutex<Vec<(Option<String>, Option<String>)>>);

impl Asked {
    fn note(&self, headers: &HeaderMap) -> usize {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        let mut asked = self.0.lock().unwrap();
        asked.push((text(header::RANGE), text(header::IF_NONE_MATCH)));
        asked.len()
    }

    fn all(&self) -> Vec<(Option<String>, Option<String>)> {
        self.0.lock().unwrap().clone()
    }
}

struct Bench {
    fetcher: Fetcher,
    target: Target,
    url: String,
    asked: Arc<Asked>,
    dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let asked = Arc::new(Asked::default());
    let router = Router::new()
        .route("/file", get(file))
        .route("/breaks", get(breaks))
        .route("/flaky", get(flaky))
        .route("/silent", get(silent))
        .route("/loop", get(|| async { Redirect::temporary("/loop") }))
        .route("/elsewhere", get(|| async { Redirect::temporary("/file") }))
        .route("/endless", get(endless))
        .route("/halts", get(halts))
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let dir = tempfile::tempdir().unwrap();
    let target = Target {
        sandbox: dir.path().join("sandbox"),
        scratch: dir.path().join("scratch"),
        owner: None,
        work: TaskTracker::new(),
    };
    fs::create_dir(&target.sandbox).unwrap();
    fs::create_dir(&target.scratch).unwrap();
    let fetcher = open(dir.path());
    Bench {
        fetcher,
        target,
        url,
        asked,
        dir,
    }
}

fn open(dir: &Path) -> Fetcher {
    let mut fetcher = Fetcher::open(Config {
        cache_dir: dir.join("cache"),
        cache_bytes: 1 << 20,
        allowed_paths: vec![dir.join("allowed")],
        limits: Limits {
            max_bytes: 1 << 20,
            ..Limits::DEFAULT
        },
    })
    .unwrap();
    let inner = Arc::get_mut(&mut fetcher.inner).unwrap();
    inner.client.stall = Duration::from_millis(300);
    inner.client.retry = Duration::from_millis(1);
    fetcher
}

async fn file(State(asked): State<Arc<Asked>>, headers: HeaderMap) -> Response<Body> {
    asked.note(&headers);
    let tag = [(header::ETAG, "\"v1\"")];
    match headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known == "\"v1\"")
    {
        true => (StatusCode::NOT_MODIFIED, tag).into_response(),
        false => (tag, CONTENT).into_response(),
    }
}

/// Ends the connection in the middle, and goes on from there when it is asked to.
async fn breaks(State(asked): State<Arc<Asked>>, headers: HeaderMap) -> Response<Body> {
    let half = CONTENT.len() / 2;
    if asked.note(&headers) == 1 {
        let body = Body::from_stream(futures::stream::unfold(0, move |n| async move {
            // So that the piece is sent before the end is known.
            tokio::time::sleep(Duration::from_millis(50 * n)).await;
            let piece = match n {
                0 => Ok(Bytes::from_static(&CONTENT[..half])),
                _ => Err("broken"),
            };
            Some((piece, n + 1))
        }));
        let tag = [
            (header::ETAG, "\"v1\"".to_owned()),
            (header::CONTENT_LENGTH, CONTENT.len().to_string()),
        ];
        return (tag, body).into_response();
    }
    let range = format!("bytes {half}-{}/{}", CONTENT.len() - 1, CONTENT.len());
    (
        StatusCode::PARTIAL_CONTENT,
        [(header::CONTENT_RANGE, range)],
        &CONTENT[half..],
    )
        .into_response()
}

async fn flaky(State(asked): State<Arc<Asked>>, headers: HeaderMap) -> Response<Body> {
    match asked.note(&headers) {
        1 | 2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        _ => CONTENT.into_response(),
    }
}

async fn silent(State(asked): State<Arc<Asked>>, headers: HeaderMap) -> Response<Body> {
    asked.note(&headers);
    Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>()).into_response()
}

/// Sends a piece, and then nothing.
async fn halts() -> Response<Body> {
    let piece = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(CONTENT))]);
    Body::from_stream(futures::StreamExt::chain(piece, futures::stream::pending())).into_response()
}

async fn endless() -> Response<Body> {
    let piece = Ok::<_, std::io::Error>(Bytes::from_static(&[0; 4096]));
    Body::from_stream(futures::stream::repeat_with(move || match &piece {
        Ok(piece) => Ok(piece.clone()),
        Err(_) => Err(std::io::Error::other("never")),
    }))
    .into_response()
}

fn what(uri: String) -> Fetch {
    Fetch {
        uri,
        sha256: None,
        destination: Some("out/file".to_owned()),
        executable: false,
        extract: false,
        cache: false,
    }
}

impl Bench {
    async fn fetch(&self, what: &Fetch) -> Result<(), String> {
        let fetched = self.fetcher.fetch(what, &self.target, &|_| {}).await;
        fetched.map_err(|error| error.to_string())
    }

    async fn fetch_path(&self, path: &str) -> Result<(), String> {
        self.fetch(&what(format!("{}{path}", self.url))).await
    }

    fn got(&self) -> Vec<u8> {
        fs::read(self.target.sandbox.join("out/file")).unwrap()
    }
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_stopped() {
    let bench = bench().await;
    bench.fetch_path("/breaks").await.unwrap();
    assert_eq!(bench.got(), CONTENT);
    let half = CONTENT.len() / 2;
    assert_eq!(
        bench.asked.all(),
        [(None, None), (Some(format!("bytes={half}-")), None)]
    );
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    let bench = bench().await;
    bench.fetch_path("/flaky").await.unwrap();
    assert_eq!((bench.got().as_slice(), bench.asked.all().len()), (CONTENT, 3));
    bench.fetch_path("/elsewhere").await.unwrap();
    let missing = bench.fetch_path("/none?token=secret").await.unwrap_err();
    assert!(missing.ends_with("/none`: the server answered 404"), "{missing}");
    let endless = bench.fetch_path("/endless").await.unwrap_err();
    assert!(endless.contains("larger than the 1048576 bytes"), "{endless}");
    let circle = bench.fetch_path("/loop").await.unwrap_err();
    assert!(circle.contains("redirects too often"), "{circle}");
}

#[tokio::test]
async fn a_server_that_falls_silent_is_given_up() {
    let bench = bench().await;
    let error = bench.fetch_path("/silent").await.unwrap_err();
    assert!(error.contains("nothing was received"), "{error}");
    assert_eq!(bench.asked.all().len(), 5);
}

#[tokio::test]
async fn another_content_than_was_asked_for_never_reaches_the_sandbox() {
    let bench = bench().await;
    for cache in [false, true] {
        let wrong = Fetch {
            sha256: Some("0".repeat(64)),
            cache,
            ..what(format!("{}/file", bench.url))
        };
        let error = bench.fetch(&wrong).await.unwrap_err();
        assert!(error.contains(&hex(&Sha256::digest(CONTENT))), "{error}");
        assert_eq!(fs::read_dir(&bench.target.sandbox).unwrap().count(), 0);
    }
}

#[tokio::test]
async fn a_kept_file_is_downloaded_once_and_asked_for_again_only_without_a_digest() {
    let bench = bench().await;
    let kept = Fetch {
        cache: true,
        ..what(format!("{}/file", bench.url))
    };
    bench.fetch(&kept).await.unwrap();
    bench.fetch(&kept).await.unwrap();
    let tag = Some("\"v1\"".to_owned());
    assert_eq!(bench.asked.all(), [(None, None), (None, tag.clone())]);
    let exact = Fetch {
        sha256: Some(hex(&Sha256::digest(CONTENT))),
        ..kept.clone()
    };
    let both = tokio::join!(bench.fetch(&exact), bench.fetch(&exact));
    assert_eq!(both, (Ok(()), Ok(())));
    assert_eq!(bench.asked.all().len(), 3);
    assert_eq!(bench.got(), CONTENT);
}

#[tokio::test]
async fn a_kept_file_that_is_damaged_is_downloaded_again() {
    let mut bench = bench().await;
    let exact = Fetch {
        cache: true,
        sha256: Some(hex(&Sha256::digest(CONTENT))),
        ..what(format!("{}/file", bench.url))
    };
    bench.fetch(&exact).await.unwrap();
    let entries = fs::read_dir(bench.dir.path().join("cache/entries")).unwrap();
    for entry in entries {
        fs::write(entry.unwrap().path().join("content"), "other").unwrap();
    }
    fs::write(bench.dir.path().join("cache/parts/left"), "").unwrap();
    bench.fetcher = open(bench.dir.path());
    bench.fetch(&exact).await.unwrap();
    assert_eq!((bench.got().as_slice(), bench.asked.all().len()), (CONTENT, 2));
    assert!(!bench.dir.path().join("cache/parts/left").exists());
}

#[tokio::test]
async fn files_of_the_host_are_read_only_where_that_is_allowed() {
    let bench = bench().await;
    let root = bench.dir.path();
    fs::create_dir(root.join("allowed")).unwrap();
    fs::write(root.join("allowed/file"), CONTENT).unwrap();
    fs::write(root.join("secret"), "secret").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("allowed/link")).unwrap();
    let uri = |path: &str| format!("file://{}/{path}", root.display());
    bench.fetch(&what(uri("allowed/file"))).await.unwrap();
    assert_eq!(bench.got(), CONTENT);
    for refused in ["secret", "allowed/link", "allowed/../secret", "none"] {
        let error = bench.fetch(&what(uri(refused))).await.unwrap_err();
        assert!(error.contains("--allow-fetch-path"), "{refused}: {error}");
    }
    let wrong = Fetch {
        sha256: Some("0".repeat(64)),
        ..what(uri("allowed/file"))
    };
    assert!(bench.fetch(&wrong).await.unwrap_err().contains("has sha256"));
}

#[tokio::test]
async fn a_file_that_is_in_the_uri_itself_is_verified_as_any() {
    let bench = bench().await;
    let uri = |sha256: &[u8]| Fetch {
        sha256: Some(hex(&Sha256::digest(sha256))),
        ..what("data:;base64,AP9h".to_owned())
    };
    bench.fetch(&uri(&[0, 255, b'a'])).await.unwrap();
    assert_eq!(bench.got(), [0, 255, b'a']);
    assert!(bench.fetch(&uri(b"x")).await.unwrap_err().contains("has sha256"));
    assert!(!bench.target.scratch.join(PART).exists());
}

#[tokio::test]
async fn nothing_is_put_outside_the_sandbox() {
    let bench = bench().await;
    std::os::unix::fs::symlink("..", bench.target.sandbox.join("up")).unwrap();
    for destination in ["../out", "/tmp/out", "a/../../out", "up/out", ".", ""] {
        let outside = Fetch {
            destination: Some(destination.to_owned()),
            ..what(format!("{}/file", bench.url))
        };
        let error = bench.fetch(&outside).await.unwrap_err();
        assert!(error.contains("cannot go to"), "{destination}: {error}");
    }
    assert!(!bench.dir.path().join("out").exists());
}

#[tokio::test]
async fn a_fetch_that_is_dropped_ends_and_leaves_no_file_under_way() {
    let bench = bench().await;
    let begun = tokio::sync::Notify::new();
    let kept = Fetch {
        cache: true,
        ..what(format!("{}/halts", bench.url))
    };
    {
        let progress = |_| begun.notify_one();
        tokio::select! {
            _ = bench.fetcher.fetch(&kept, &bench.target, &progress) => panic!("it never ends"),
            () = begun.notified() => {}
        }
    }
    bench.target.work.close();
    bench.target.work.wait().await;
    assert_eq!(
        fs::read_dir(bench.dir.path().join("cache/parts"))
            .unwrap()
            .count(),
        0
    );
}
