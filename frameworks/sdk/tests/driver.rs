//! The driver against a master that the test plays.

mod election;
mod master;

use std::sync::Arc;
use std::time::Duration;

use proffer_sdk::store::{
    Batch, CommitError, Entry, Fault, MAX_BATCH_BYTES, Memory, ReadError, Revision, Store,
};
use proffer_sdk::types::scheduler_link::{Call, Event};
use proffer_sdk::types::{
    AgentId, FrameworkId, Offer, OperationId, OperationState, OperationStatus, Resources, Role, Shape,
    ShapeId, StatusSource, StatusUuid, TaskId, TaskState, TaskStatus, Timestamp,
};
use proffer_sdk::{
    CallError, CancellationToken, Config, Context, Driver, Handle, RecoverError, RunError, Scheduler,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::master::{Master, Stream};

/// Counts updates, durably.
#[derive(Debug, Default)]
struct Counter {
    n_updates: u8,
}

impl Scheduler for Counter {
    fn recover(&mut self, records: &[(String, Vec<u8>)]) -> Result<(), RecoverError> {
        self.n_updates = records.first().map_or(0, |(_, value)| value[0]);
        Ok(())
    }

    fn offers(&mut self, _: &mut Context<'_>, _: Vec<Offer>) {}

    fn update(&mut self, cx: &mut Context<'_>, _: &TaskStatus) {
        self.count(cx);
    }

    fn operation_update(&mut self, cx: &mut Context<'_>, _: &OperationStatus) {
        self.count(cx);
    }
}

impl Counter {
    fn count(&mut self, cx: &mut Context<'_>) -> u8 {
        self.n_updates += 1;
        cx.put("count", vec![self.n_updates]);
        self.n_updates
    }
}

struct Running {
    master: Master,
    store: Arc<Memory>,
    handle: Handle<Counter>,
    shutdown: CancellationToken,
    driver: JoinHandle<Result<Counter, RunError>>,
}

async fn start() -> Running {
    let master = Master::start().await;
    let store = Arc::new(Memory::new());
    let shutdown = CancellationToken::new();
    let config = Config::new(vec![master.address.to_string()], "counter");
    let driver = Driver::new(config, store.clone(), Counter::default());
    let handle = driver.handle();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    Running {
        master,
        store,
        handle,
        shutdown,
        driver,
    }
}

fn update(uuid: u8) -> Event {
    Event::Update(TaskStatus {
        task_id: TaskId::new("T1").expect("an id"),
        agent_id: AgentId::new("A1").ok(),
        state: TaskState::Running,
        source: StatusSource::Agent,
        reason: None,
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: Some(StatusUuid([uuid; 16])),
        exit: None,
        usage: None,
        condition: proffer_types::TaskCondition::default(),
    })
}

async fn acknowledged(stream: &mut Stream) -> StatusUuid {
    loop {
        if let Call::Acknowledge { uuid, .. } = stream.call().await {
            return uuid;
        }
    }
}

#[tokio::test]
async fn an_update_is_stored_before_it_is_acknowledged_and_the_id_before_the_next_subscription() {
    let mut running = start().await;
    let (mut stream, _) = running.master.subscribed().await;
    stream.tell(&[update(1)]).await;
    assert_eq!(acknowledged(&mut stream).await, StatusUuid([1; 16]));
    let count = running.store.get("count").await.unwrap().unwrap();
    assert_eq!(count.value, vec![1]);

    drop(stream);
    let (_stream, call) = running.master.subscribed().await;
    let Call::Subscribe { info, .. } = call else {
        panic!("{call:?} is not a subscription");
    };
    assert_eq!(info.id, Some(FrameworkId::new("F1").unwrap()));
    running.shutdown.cancel();
    running.driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_operation_status_is_stored_before_it_is_acknowledged() {
    let mut running = start().await;
    let (mut stream, _) = running.master.subscribed().await;
    let status = OperationStatus {
        operation_id: OperationId::new("X1").unwrap(),
        agent_id: AgentId::new("A1").ok(),
        state: OperationState::Finished,
        message: String::new(),
        timestamp: Timestamp(0),
        uuid: Some(StatusUuid([1; 16])),
    };
    stream.tell(&[Event::OperationUpdate(status)]).await;
    while !matches!(stream.call().await, Call::AcknowledgeOperation { uuid, .. } if uuid.0 == [1; 16]) {}
    let count = running.store.get("count").await.unwrap().unwrap();
    assert_eq!(count.value, vec![1]);
    running.shutdown.cancel();
    running.driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn demand_that_is_stated_once_is_told_to_every_master() {
    let mut running = start().await;
    let (mut stream, _) = running.master.subscribed().await;
    let shapes = vec![Shape::new(ShapeId(1), Resources::of(1000, 1 << 20, 0), 3)];
    let stated = Call::Demand {
        role: Role::default(),
        demand: Some(shapes.clone().into()),
    };
    let state = |_: &mut Counter, cx: &mut Context<'_>| cx.state_demand(&Role::default(), shapes);
    running.handle.call(state).await.unwrap();
    while stream.call().await != stated {}
    drop(stream);
    let (mut stream, _) = running.master.subscribed().await;
    while stream.call().await != stated {}
    running.shutdown.cancel();
    running.driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failed_commit_sends_nothing_and_starts_again_from_the_store() {
    let mut running = start().await;
    let (mut stream, _) = running.master.subscribed().await;
    let mut progress = running.handle.watch();
    progress.wait_for(|progress| progress.subscribed).await.unwrap();
    assert_eq!(running.handle.call(Counter::count).await, Ok(1));
    running.store.fail_commit(1, Fault::Before);
    stream.tell(&[update(1)]).await;
    assert!(stream.ended().await);

    let (mut stream, _) = running.master.subscribed().await;
    stream.tell(&[update(1)]).await;
    assert_eq!(acknowledged(&mut stream).await, StatusUuid([1; 16]));
    assert_eq!(running.handle.call(|counter, _| counter.n_updates).await, Ok(2));
    running.shutdown.cancel();
    running.driver.await.unwrap().unwrap();
}

/// A store whose commits wait until they may go on.
#[derive(Debug)]
struct Slow {
    store: Memory,
    may_commit: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl Store for Slow {
    async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        self.store.get(key).await
    }

    async fn scan(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        self.store.scan(prefix).await
    }

    async fn commit(&self, batch: Batch) -> Result<Revision, CommitError> {
        let mut may_commit = self.may_commit.clone();
        may_commit.wait_for(|may| *may).await.expect("the test goes on");
        self.store.commit(batch).await
    }
}

#[tokio::test]
async fn a_slow_commit_delays_what_follows_from_it_and_costs_no_link() {
    const INTERVAL: Duration = Duration::from_millis(50);
    let mut master = Master::start().await;
    let (gate, may_commit) = watch::channel(true);
    let store = Arc::new(Slow {
        store: Memory::new(),
        may_commit,
    });
    let shutdown = CancellationToken::new();
    let config = Config::new(vec![master.address.to_string()], "counter");
    let driver = Driver::new(config, store, Counter::default());
    let mut progress = driver.handle().watch();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    let (mut stream, _) = master.subscribed_with(INTERVAL).await;
    progress.wait_for(|progress| progress.subscribed).await.unwrap();

    gate.send_replace(false);
    stream.tell(&[update(1)]).await;
    // Longer than either side waits for the other.
    for _ in 0..8 {
        loop {
            let call = stream.call().await;
            let is_acknowledged = matches!(call, Call::Acknowledge { .. });
            assert!(!is_acknowledged, "it is not stored");
            if call == Call::Ping {
                break;
            }
        }
        stream.tell(&[Event::Heartbeat]).await;
    }
    gate.send_replace(true);
    assert_eq!(acknowledged(&mut stream).await, StatusUuid([1; 16]));
    stream.tell(&[update(2)]).await;
    assert_eq!(acknowledged(&mut stream).await, StatusUuid([2; 16]));
    shutdown.cancel();
    driver.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_call_is_answered_without_a_master_and_not_when_it_was_not_stored() {
    let store = Arc::new(Memory::new());
    let shutdown = CancellationToken::new();
    let nobody = Config::new(vec!["127.0.0.1:1".to_owned()], "counter");
    let driver = Driver::new(nobody, store.clone(), Counter::default());
    let handle = driver.handle();
    let driver = tokio::spawn(driver.run(shutdown.clone()));
    assert_eq!(handle.call(Counter::count).await, Ok(1));
    store.fail_commit(1, Fault::Before);
    let failed = handle.call(Counter::count).await;
    assert!(matches!(failed, Err(CallError::NotStored(_))), "{failed:?}");
    assert_eq!(handle.call(Counter::count).await, Ok(2));

    let changes = handle.watch().borrow().changes;
    assert_eq!(handle.call(|counter, _| counter.n_updates).await, Ok(2));
    assert_eq!(handle.watch().borrow().changes, changes);
    shutdown.cancel();
    driver.await.unwrap().unwrap();
    assert_eq!(handle.call(Counter::count).await, Err(CallError::Stopped));
}

#[tokio::test]
async fn a_refused_framework_ends_with_the_masters_reason() {
    let mut running = start().await;
    let (stream, _) = running.master.subscribed().await;
    let message = "another instance has subscribed".to_owned();
    stream.tell(&[Event::Error { message }]).await;
    let error = running.driver.await.unwrap().unwrap_err().to_string();
    assert_eq!(
        error,
        "the master refused the framework: another instance has subscribed"
    );
}

/// More than any store takes at once.
const TOO_LARGE: usize = MAX_BATCH_BYTES + 1;

#[tokio::test]
async fn a_call_that_writes_more_than_can_be_stored_is_refused_alone_and_the_framework_goes_on() {
    let mut running = start().await;
    let (_stream, _) = running.master.subscribed().await;
    let handle = &running.handle;
    let large = handle.call(|_, cx| cx.put("large", vec![0; TOO_LARGE]));
    // One after the other in one step, as far as they fit.
    let put = |key: &'static str| handle.call(move |_, cx| cx.put(key, vec![0; 6 << 20]));
    let (a, b, c, refused) = tokio::join!(put("a"), put("b"), put("c"), large);
    assert_eq!((a, b, c), (Ok(()), Ok(()), Ok(())));
    let refused = refused.unwrap_err();
    assert!(matches!(refused, CallError::TooLarge(_)), "{refused}");
    assert_eq!(
        tonic::Status::from(refused).code(),
        tonic::Code::ResourceExhausted
    );
    assert_eq!(handle.call(Counter::count).await, Ok(1));
    assert_eq!(running.store.get("large").await.unwrap(), None);
    let (_stream, call) = running.master.subscribed().await;
    assert!(matches!(call, Call::Subscribe { .. }), "{call:?}");
    running.shutdown.cancel();
    running.driver.await.unwrap().unwrap();
}

/// Answers each update with a write that no store takes.
#[derive(Debug)]
struct Glutton;

impl Scheduler for Glutton {
    fn offers(&mut self, _: &mut Context<'_>, _: Vec<Offer>) {}

    fn update(&mut self, cx: &mut Context<'_>, _: &TaskStatus) {
        cx.put("large", vec![0; TOO_LARGE]);
    }
}

#[tokio::test]
async fn a_scheduler_that_writes_more_than_can_be_stored_ends_and_does_not_begin_again_and_again() {
    let mut master = Master::start().await;
    let config = Config::new(vec![master.address.to_string()], "glutton");
    let driver = Driver::new(config, Arc::new(Memory::new()), Glutton);
    let driver = tokio::spawn(driver.run(CancellationToken::new()));
    let (stream, _) = master.subscribed().await;
    stream.tell(&[update(1)]).await;
    let ended = driver.await.unwrap().unwrap_err();
    assert!(
        matches!(ended, RunError::Write(CommitError::TooLarge { .. })),
        "{ended}"
    );
}
