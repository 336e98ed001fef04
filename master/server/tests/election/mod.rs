//! One of several masters: what its peers see while it stands by, leads, and leads no more.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use proffer_grpc::leader;
use proffer_store::{Election, Leadership, Memory, Standing, Store};
use proffer_wire::v1;
use proffer_wire::v1::scheduler_event::Event;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::Code;

use crate::harness::{PATIENCE, framework_info, resources, start_with};

/// Where nobody listens.
const DEAD: &str = "127.0.0.1:1";

/// What the voters say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Vote {
    elects_us: bool,
    leader: Option<String>,
    is_uncertain: bool,
}

/// An election that a test decides.
#[derive(Debug, Clone)]
struct Ballot(watch::Sender<Vote>);

#[async_trait]
impl Election for Ballot {
    async fn campaign(&self, _says: &str) -> Box<dyn Leadership> {
        let is_won = |vote: &Vote| vote.elects_us && !vote.is_uncertain;
        self.0.subscribe().wait_for(is_won).await.unwrap();
        Box::new(self.clone())
    }

    async fn leader(&self) -> Option<String> {
        self.0.borrow().leader.clone()
    }
}

#[async_trait]
impl Leadership for Ballot {
    fn is_certain(&self) -> bool {
        let vote = self.0.borrow();
        vote.elects_us && !vote.is_uncertain
    }

    async fn lost(&self) {
        self.0.subscribe().wait_for(|vote| !vote.elects_us).await.unwrap();
    }

    async fn resign(&self) {
        self.0.send_modify(|vote| vote.elects_us = false);
    }
}

impl Ballot {
    fn new() -> Self {
        Self(watch::Sender::default())
    }

    fn standing(&self) -> Option<Standing> {
        Some(Standing {
            election: Arc::new(self.clone()),
            says: "us:1".to_owned(),
        })
    }

    fn decide(&self, vote: Vote) {
        self.0.send_replace(vote);
    }

    fn elect_us(&self) {
        self.decide(Vote {
            elects_us: true,
            ..Vote::default()
        });
    }
}

#[tokio::test]
async fn a_master_that_stands_by_names_the_leader_and_serves_once_it_is_elected() {
    let ballot = Ballot::new();
    let store = Arc::new(Memory::new());
    let master = start_with(&store, ballot.standing()).await;
    let mut operator = master.operator().await;

    // Nobody leads yet, and then one that is dead: who asks is kept waiting for the end of the election.
    let asked = tokio::spawn(async move { operator.get_cluster(v1::GetClusterRequest {}).await });
    for leader in [None, Some(DEAD.to_owned())] {
        ballot.decide(Vote {
            leader,
            ..Vote::default()
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!asked.is_finished());
    }
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap().to_string();
    ballot.decide(Vote {
        leader: Some(address.clone()),
        ..Vote::default()
    });
    let refusal = tokio::time::timeout(PATIENCE, asked)
        .await
        .unwrap()
        .unwrap()
        .unwrap_err();
    assert_eq!(refusal.code(), Code::Unavailable);
    assert_eq!(leader::named(&refusal), Some(&*address));
    let (status, body) = master.page("/readyz").await;
    assert!(
        status.contains("503") && body.contains(&address),
        "{status} {body}"
    );
    assert_eq!(store.scan("").await.unwrap(), [], "who stands by writes nothing");

    ballot.elect_us();
    master.until_ready().await;
    let mut framework = master.framework(framework_info()).await;
    framework.subscribed().await;
    master.stop().await;
    assert!(!ballot.0.borrow().elects_us, "who stops resigns");
}

#[tokio::test]
async fn a_master_that_is_not_sure_to_lead_tells_nobody_anything() {
    let ballot = Ballot::new();
    ballot.elect_us();
    let store = Arc::new(Memory::new());
    let master = start_with(&store, ballot.standing()).await;
    master.until_ready().await;
    let mut framework = master.framework(framework_info()).await;
    framework.subscribed().await;

    // As after the process was stopped for a while: it has not noticed yet, and its clock tells.
    ballot.0.send_modify(|vote| vote.is_uncertain = true);
    let mut agent = master.agent(resources(1.0, 1e6)).await;
    let told = agent.next(Some).await;
    assert_eq!(told.unwrap_err().code(), Code::Unavailable);
    // The largest agents are told at the start, when there is none.
    let is_old = |event: &Event| matches!(event, Event::Shapes(shapes) if shapes.n_agents == 0);
    let news = |event| Some(event).filter(|event| !is_old(event));
    let told = framework.next(news).await;
    assert_eq!(told.unwrap_err().code(), Code::Unavailable);
    master.stop().await;
}

#[tokio::test]
async fn a_master_that_lost_the_lead_stands_again_and_knows_what_others_wrote_meanwhile() {
    let ballot = Ballot::new();
    ballot.elect_us();
    let store = Arc::new(Memory::new());
    let master = start_with(&store, ballot.standing()).await;
    master.until_ready().await;
    let mut framework = master.framework(framework_info()).await;
    let id = framework.subscribed().await.framework_id;
    ballot.decide(Vote {
        leader: Some(DEAD.to_owned()),
        ..Vote::default()
    });
    let until_standby = async {
        while !master.page("/readyz").await.1.contains(DEAD) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, until_standby).await.unwrap();

    let other = start_with(&store, None).await;
    other.until_ready().await;
    let second = other
        .framework(framework_info())
        .await
        .subscribed()
        .await
        .framework_id;
    other.stop().await;

    ballot.elect_us();
    master.until_ready().await;
    let listed = master
        .operator()
        .await
        .list_frameworks(v1::ListFrameworksRequest {})
        .await;
    let frameworks = listed.unwrap().into_inner().frameworks;
    let ids = frameworks.into_iter().map(|framework| framework.framework_id);
    assert_eq!(ids.collect::<BTreeSet<_>>(), BTreeSet::from([id, second]));
    master.stop().await;
}
