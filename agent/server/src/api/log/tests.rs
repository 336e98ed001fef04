//! Output is read whole, once, from where it was asked for, and from nowhere else.

use std::io::Write as _;
use std::sync::Arc;

use futures::StreamExt as _;
use proffer_grpc::v1::agent_server::Agent as _;
use proffer_image::ImageStore;
use proffer_types::{AgentInfo, Resources};
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::*;
use crate::data_dir::DataDir;
use crate::metrics::Metrics;
use crate::shared::Shared;

struct Bench {
    logs: Logs,
    output: PathBuf,
    key: TaskKey,
    _dir: tempfile::TempDir,
}

/// A task without output.
fn bench(is_live: bool) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
    let key = TaskKey {
        framework_id: FrameworkId::new("f").unwrap(),
        task_id: TaskId::new("t").unwrap(),
    };
    let output = data_dir.task_dir(&key).stdout();
    std::fs::create_dir_all(output.parent().unwrap()).unwrap();
    let state = State {
        shared: Arc::new(Shared::with_live(is_live.then(|| key.clone()))),
        metrics: Arc::new(Metrics::new()),
        images: ImageStore::open(&dir.path().join("images"), proffer_image::Config::default()).unwrap(),
        data_dir,
        info: AgentInfo {
            hostname: "h".into(),
            address: "h:1".into(),
            resources: Resources::new(),
            attributes: vec![],
            version: "0".into(),
            cgroups: "cgroup v2".into(),
            domain: None,
            can_suspend: false,
        },
        driver: tokio::sync::mpsc::channel(1).0,
        end: CancellationToken::new(),
    };
    Bench {
        logs: Logs::new(state),
        output,
        key,
        _dir: dir,
    }
}

fn request(task_id: &str, offset: u64, follow: bool) -> Request<ReadLogRequest> {
    Request::new(ReadLogRequest {
        framework_id: "f".into(),
        task_id: task_id.into(),
        stream: LogStream::Stdout.into(),
        offset,
        follow,
        tail_lines: None,
    })
}

impl Bench {
    fn append(&self, text: &str) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(&self.output).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    async fn open(&self, offset: u64, follow: bool) -> ReceiverStream<Result<LogChunk, Status>> {
        let response = self.logs.read_log(request("t", offset, follow)).await;
        response.unwrap().into_inner()
    }
}

async fn rest(stream: ReceiverStream<Result<LogChunk, Status>>) -> String {
    let chunks: Vec<_> = stream.map(|chunk| chunk.unwrap().data).collect().await;
    String::from_utf8(chunks.concat()).unwrap()
}

#[tokio::test]
async fn the_output_of_an_ended_task_is_read_from_the_offset_to_its_end() {
    let bench = bench(false);
    bench.append("hello world");
    assert_eq!(rest(bench.open(6, true).await).await, "world");
    assert_eq!(rest(bench.open(100, true).await).await, "");
}

#[tokio::test]
async fn following_ends_with_the_task_and_misses_nothing_it_wrote() {
    let bench = bench(true);
    let mut stream = bench.open(0, true).await;
    bench.append("one ");
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.offset, first.data.as_slice()), (0, b"one ".as_slice()));
    bench.append("two");
    bench.logs.state.shared.end(&bench.key);
    assert_eq!(rest(stream).await, "two");
}

#[tokio::test]
async fn without_follow_a_running_task_gives_what_is_there() {
    let bench = bench(true);
    assert_eq!(rest(bench.open(0, false).await).await, "");
    bench.append("part");
    assert_eq!(rest(bench.open(0, false).await).await, "part");
}

#[tokio::test]
async fn an_id_that_is_a_path_or_unknown_is_refused() {
    let bench = bench(false);
    for (id, code) in [
        ("../f/t", Code::InvalidArgument),
        ("..", Code::InvalidArgument),
        ("other", Code::NotFound),
    ] {
        let error = bench.logs.read_log(request(id, 0, false)).await.unwrap_err();
        assert_eq!(error.code(), code, "{id}");
    }
}

#[tokio::test]
async fn a_link_in_the_place_of_the_output_is_not_followed() {
    let bench = bench(false);
    std::os::unix::fs::symlink("/etc/passwd", &bench.output).unwrap();
    let mut stream = bench.open(0, false).await;
    assert!(stream.next().await.unwrap().is_err());
}

impl Bench {
    /// Does what proffer-init does with a full file.
    fn rotate(&self, end: u64) {
        let newest = self.output.clone();
        std::fs::rename(&newest, proffer_linux::output::older_file(&newest, end)).unwrap();
        std::fs::write(&newest, "").unwrap();
    }
}

#[tokio::test]
async fn following_goes_on_across_rotation_without_a_hole_or_a_repetition() {
    let bench = bench(true);
    let mut stream = bench.open(0, true).await;
    let mut expected = String::new();
    let mut read = String::new();
    for round in 0..50 {
        let text = format!("line {round}\n");
        bench.append(&text);
        expected += &text;
        if round % 3 == 0 {
            bench.rotate(expected.len() as u64);
        }
        if round % 7 == 0 {
            let chunk = stream.next().await.unwrap().unwrap();
            assert_eq!(chunk.offset, read.len() as u64);
            read += &String::from_utf8(chunk.data).unwrap();
        }
    }
    bench.logs.state.shared.end(&bench.key);
    assert_eq!(read + &rest(stream).await, expected);
}

#[tokio::test]
async fn a_reader_of_what_was_removed_goes_on_with_the_oldest_byte_there_is() {
    let bench = bench(false);
    bench.append("old");
    bench.rotate(3);
    bench.append("new");
    let older = proffer_linux::output::older_file(&bench.output, 3);
    std::fs::write(older, "").unwrap();
    let chunk = bench.open(1, false).await.next().await.unwrap().unwrap();
    assert_eq!((chunk.offset, chunk.data.as_slice()), (3, b"new".as_slice()));
}

#[tokio::test]
async fn a_tail_starts_some_lines_before_the_end() {
    let bench = bench(false);
    bench.append("one\ntwo\nthree\n");
    let request = ReadLogRequest {
        tail_lines: Some(2),
        ..request("t", 99, true).into_inner()
    };
    let response = bench.logs.read_log(Request::new(request)).await.unwrap();
    assert_eq!(rest(response.into_inner()).await, "two\nthree\n");
}
