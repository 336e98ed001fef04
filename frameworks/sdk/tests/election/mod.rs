//! Several processes of a framework on one store: what the one that leads may do, and one that does not.

use std::sync::Arc;

use proffer_sdk::store::{Batch, Leadership, Memory, Store};
use proffer_sdk::types::scheduler_link::Call;
use proffer_sdk::{CallError, CancellationToken, Config, Driver, Handle, RunError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::master::Master;
use crate::{Counter, acknowledged, update};

/// A lead that a test decides about.
#[derive(Debug, Clone)]
struct Lead(watch::Sender<Is>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Certain,
    /// As after the process was stopped for a while: its clock tells, and nobody has looked yet.
    Over,
    Lost,
    Resigned,
}

#[tonic::async_trait]
impl Leadership for Lead {
    fn is_certain(&self) -> bool {
        *self.0.borrow() == Is::Certain
    }

    async fn lost(&self) {
        let lost = self.0.subscribe().wait_for(|is| *is == Is::Lost).await.map(drop);
        lost.expect("the sender is ours");
    }

    async fn resign(&self) {
        self.0.send_replace(Is::Resigned);
    }
}

struct Process {
    lead: Lead,
    handle: Handle<Counter>,
    shutdown: CancellationToken,
    driver: JoinHandle<Result<Counter, RunError>>,
}

fn start(master: &str, store: &Arc<Memory>) -> Process {
    let lead = Lead(watch::Sender::new(Is::Certain));
    let config = Config::new(vec![master.to_owned()], "counter");
    let driver = Driver::new(config, store.clone(), Counter::default()).leading(Box::new(lead.clone()));
    let shutdown = CancellationToken::new();
    Process {
        lead,
        handle: driver.handle(),
        driver: tokio::spawn(driver.run(shutdown.clone())),
        shutdown,
    }
}

impl Process {
    async fn deposed(self) {
        let ended = self.driver.await.expect("no panic");
        assert!(matches!(ended, Err(RunError::Deposed)), "{ended:?}");
        assert_ne!(*self.lead.0.borrow(), Is::Resigned, "another one leads");
    }
}

const NOBODY: &str = "127.0.0.1:1";

#[tokio::test]
async fn the_next_leader_goes_on_under_the_same_id_and_the_one_before_writes_and_says_nothing() {
    let mut master = Master::start().await;
    let store = Arc::new(Memory::new());
    let first = start(&master.address.to_string(), &store);
    let (mut old, call) = master.subscribed().await;
    assert!(matches!(call, Call::Subscribe { info, .. } if info.id.is_none()));
    old.tell(&[update(1)]).await;
    acknowledged(&mut old).await;

    // The first one hangs meanwhile, with an update in hand.
    first.lead.0.send_replace(Is::Over);
    let second = start(&master.address.to_string(), &store);
    let (mut new, call) = master.subscribed().await;
    let Call::Subscribe { info, .. } = call else {
        panic!("{call:?} is not a subscription");
    };
    assert_eq!(info.id.unwrap().as_str(), "F1");
    assert_eq!(second.handle.call(|counter, _| counter.n_updates).await, Ok(1));
    let before = store.scan("").await.unwrap();
    old.tell(&[update(2)]).await;
    first.deposed().await;
    assert_eq!(store.scan("").await.unwrap(), before);
    assert_eq!(old.rest().await, [], "it still speaks");

    new.tell(&[update(2)]).await;
    acknowledged(&mut new).await;
    second.shutdown.cancel();
    assert_eq!(second.driver.await.unwrap().unwrap().n_updates, 2);
    assert_eq!(*second.lead.0.borrow(), Is::Resigned);
}

#[tokio::test]
async fn who_is_not_sure_to_lead_answers_nobody_and_who_has_lost_the_lead_ends() {
    let store = Arc::new(Memory::new());
    let unsure = start(NOBODY, &store);
    assert_eq!(unsure.handle.call(Counter::count).await, Ok(1));
    unsure.lead.0.send_replace(Is::Over);
    let answer = unsure.handle.call(|counter, _| counter.n_updates).await;
    assert_eq!(answer, Err(CallError::Deposed), "what it knows may be old");
    unsure.deposed().await;

    let lost = start(NOBODY, &store);
    assert_eq!(lost.handle.call(Counter::count).await, Ok(2));
    lost.lead.0.send_replace(Is::Lost);
    lost.deposed().await;
}

#[tokio::test]
async fn a_store_of_something_else_is_refused_and_left_alone() {
    let config = |name: &str| Config::new(vec![NOBODY.to_owned()], name);
    let lead = || Box::new(Lead(watch::Sender::new(Is::Certain)));
    let refused = async |store: &Arc<Memory>, name: &str| {
        let before = store.scan("").await.unwrap();
        let driver = Driver::new(config(name), store.clone(), Counter::default()).leading(lead());
        let ended = driver.run(CancellationToken::new()).await;
        assert_eq!(store.scan("").await.unwrap(), before);
        match ended {
            Err(RunError::Foreign(why)) => why,
            other => panic!("{other:?}"),
        }
    };

    let store = Arc::new(Memory::new());
    let counter = start(NOBODY, &store);
    assert_eq!(counter.handle.call(Counter::count).await, Ok(1));
    counter.shutdown.cancel();
    counter.driver.await.unwrap().unwrap();
    let why = refused(&store, "batch").await;
    assert!(why.contains("they are those of `counter`"), "{why}");

    let registry = Arc::new(Memory::new());
    registry.commit(Batch::new().put("meta", "1")).await.unwrap();
    let why = refused(&registry, "counter").await;
    assert!(why.contains("there is `meta`, and no term"), "{why}");
}
