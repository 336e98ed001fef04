//! One simulated agent's link: dialled, registered on, read, dialled again.
//!
//! Pauses and bounds are those of the agent's own link.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::agent_link_client::AgentLinkClient;
use proffer_wire::frame::MAX_MESSAGE_BYTES;
use proffer_wire::v1;
use proffer_wire::v1::agent_message::Message as Said;
use proffer_wire::v1::master_message::Message as Heard;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Endpoint;

use super::Shared;
use super::task::Tasks;

const MAX_FRAMES_QUEUED: usize = 256;
const RETRY_MIN: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(5);
const RETRY_NAMED: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE: Duration = Duration::from_secs(5);
const MISSED_HEARTBEATS: u32 = 3;

#[derive(Debug)]
struct Agent {
    n: u32,
    shared: Arc<Shared>,
    /// Empty before the first registration.
    agent_id: String,
    tasks: Tasks,
}

/// An open session.
#[derive(Debug)]
struct Session {
    number: u64,
    heartbeat: Duration,
    next_heartbeat: Instant,
    heard: Instant,
}

/// Keeps one agent connected for ever.
pub(super) async fn run(n: u32, shared: Arc<Shared>) {
    let mut masters = Masters::new(shared.args.master.clone());
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(n));
    let mut agent = Agent {
        n,
        shared,
        agent_id: String::new(),
        tasks: Tasks::default(),
    };
    let mut wait = RETRY_MIN;
    while let Some(master) = masters.dial() {
        let mut session = None;
        let ended = agent.one_stream(&master, &mut session).await;
        if session.is_some() {
            wait = RETRY_MIN;
            agent.shared.n_up.fetch_sub(1, Ordering::Relaxed);
        }
        if let Err(status) = ended
            && let Some(leader) = leader::named(&status)
        {
            masters.follow(leader);
            wait = wait.min(RETRY_NAMED);
        }
        tokio::time::sleep(wait.mul_f64(rng.random_range(0.5..1.0))).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

impl Agent {
    async fn one_stream(&mut self, master: &str, session: &mut Option<Session>) -> Result<(), Status> {
        let endpoint = Endpoint::from_shared(format!("http://{master}"))
            .map_err(|error| Status::invalid_argument(error.to_string()))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true);
        let channel = endpoint
            .connect()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let (frames, queue) = mpsc::channel(MAX_FRAMES_QUEUED);
        let mut chatty = self.shared.chatty.clone();
        send(&frames, 0, self.registration())?;
        let mut client = AgentLinkClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let mut incoming = client.register(ReceiverStream::new(queue)).await?.into_inner();
        loop {
            let mut messages = Vec::new();
            tokio::select! {
                frame = incoming.message() => match frame? {
                    Some(frame) => {
                        if self.frame(frame, session, &mut messages).is_break() {
                            return Ok(());
                        }
                    }
                    None => return Ok(()),
                },
                Ok(()) = chatty.changed() => {
                    if *chatty.borrow_and_update() && session.is_some() {
                        messages = self.tasks.chat();
                    }
                }
                () = until(self.tasks.next_end().filter(|_| session.is_some())) => {
                    messages = self.tasks.end(Instant::now());
                }
                () = until(session.as_ref().map(Session::next)) => {
                    if beat(session, &mut messages).is_break() {
                        return Ok(());
                    }
                }
            }
            if let Some(session) = session {
                send(&frames, session.number, messages)?;
            }
        }
    }

    fn registration(&self) -> Vec<v1::AgentMessage> {
        let slots = f64::from(self.shared.args.slots);
        let scalar = |name: &str, value: f64| v1::Resource {
            name: name.to_owned(),
            value: Some(v1::resource::Value::Scalar(value)),
            ..Default::default()
        };
        let info = v1::AgentInfo {
            hostname: format!("host-{}", self.n),
            address: "127.0.0.1:1".to_owned(),
            resources: Some(v1::Resources {
                items: vec![scalar("cpus", slots), scalar("mem", slots * f64::from(1 << 30))],
            }),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cgroups: "none".to_owned(),
            ..Default::default()
        };
        let said = [
            Said::Register(v1::agent_message::Register {
                agent_info: Some(info),
                agent_id: self.agent_id.clone(),
            }),
            Said::RegisterTasks(v1::agent_message::RegisterTasks {
                tasks: self.tasks.listed(),
            }),
            Said::RegisterDone(v1::agent_message::RegisterDone {}),
        ];
        said.into_iter().map(message).collect()
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "nobody launches groups here, or changes resources"
    )]
    fn frame(
        &mut self,
        frame: v1::MasterFrame,
        session: &mut Option<Session>,
        messages: &mut Vec<v1::AgentMessage>,
    ) -> ControlFlow<()> {
        if let Some(session) = session {
            session.heard = Instant::now();
        }
        for heard in frame.messages.into_iter().filter_map(|message| message.message) {
            match heard {
                Heard::Registered(registered) => {
                    self.agent_id = registered.agent_id;
                    *session = Some(Session::new(frame.session, registered.heartbeat_interval_ms));
                    self.shared.up();
                    messages.extend(self.tasks.unacknowledged());
                }
                Heard::RunTask(run) => messages.extend(self.tasks.run(run, &self.agent_id, &self.shared)),
                Heard::AcknowledgeStatus(acknowledged) => {
                    messages.extend(self.tasks.acknowledged(&acknowledged, &self.shared));
                }
                Heard::KillTask(kill) => messages.extend(self.tasks.kill(&kill.task_id)),
                Heard::ShutdownFramework(shutdown) => {
                    messages.extend(self.tasks.shut_down(&shutdown.framework_id));
                }
                Heard::Heartbeat(heartbeat) if heartbeat.interval_ms > 0 => {
                    if let Some(session) = session {
                        session.beat_by(Duration::from_millis(heartbeat.interval_ms));
                    }
                }
                Heard::Refused(refused) => {
                    eprintln!("agent {} is refused: {}", self.n, refused.message);
                    return ControlFlow::Break(());
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

impl Session {
    fn new(number: u64, heartbeat_ms: u64) -> Self {
        let (now, heartbeat) = (Instant::now(), Duration::from_millis(heartbeat_ms));
        Self {
            number,
            heartbeat,
            next_heartbeat: now + heartbeat,
            heard: now,
        }
    }

    /// The master tells another interval, and waits to hear that it is kept.
    fn beat_by(&mut self, interval: Duration) {
        self.heartbeat = interval;
        self.next_heartbeat = Instant::now();
    }

    fn silent_at(&self) -> Instant {
        self.heard + self.heartbeat * MISSED_HEARTBEATS
    }

    fn next(&self) -> Instant {
        self.next_heartbeat.min(self.silent_at())
    }
}

/// A heartbeat is due, or the master was silent for too long.
fn beat(session: &mut Option<Session>, messages: &mut Vec<v1::AgentMessage>) -> ControlFlow<()> {
    let Some(session) = session else {
        return ControlFlow::Continue(());
    };
    let now = Instant::now();
    if session.silent_at() <= now {
        return ControlFlow::Break(());
    }
    session.next_heartbeat = now + session.heartbeat;
    let interval_ms = u64::try_from(session.heartbeat.as_millis()).unwrap_or(u64::MAX);
    messages.push(message(Said::Heartbeat(v1::agent_message::Heartbeat {
        interval_ms,
    })));
    ControlFlow::Continue(())
}

fn message(said: Said) -> v1::AgentMessage {
    v1::AgentMessage { message: Some(said) }
}

/// Everything that waits goes in one frame. A queue that is full means that the master does not read.
fn send(
    frames: &mpsc::Sender<v1::AgentFrame>,
    session: u64,
    messages: Vec<v1::AgentMessage>,
) -> Result<(), Status> {
    if messages.is_empty() {
        return Ok(());
    }
    let frame = v1::AgentFrame { session, messages };
    frames
        .try_send(frame)
        .map_err(|error| Status::resource_exhausted(error.to_string()))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
