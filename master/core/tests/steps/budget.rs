//! A cold cluster of 50,000 agents: each step examines no more than its budget, and whoever speaks in between is
//! answered in the very next step.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_master_core::{Command, Config, Effect, Event, LinkId, Master, Output, Registry};
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::scheduler_link::{self, Call};
use proffer_types::{AgentInfo, FrameworkInfo, Resources, Role, Session, Timestamp};

const N_AGENTS: u64 = 50_000;
const BUDGET: u64 = 2_000;
/// So many that the interval is as long as it gets.
const N_GREW: u64 = 20_000;
/// Agents that are told to expect a heartbeat each second, before there are too many for that.
const N_TOLD_A_SECOND: usize = 2_000;
/// Steps of the cycle before heartbeats fall due.
const STEPS_BEFORE: usize = 5;

fn agent(link: u64) -> Command {
    Command::AgentRegister {
        link: LinkId(link),
        info: AgentInfo {
            hostname: format!("host-{link}"),
            address: "127.0.0.1:1".to_owned(),
            resources: Resources::of(4000, 1 << 30, 0),
            attributes: Vec::new(),
            version: "test".to_owned(),
            cgroups: "cgroup v2".to_owned(),
            domain: None,
            can_suspend: false,
        },
        agent_id: None,
        tasks: Vec::new(),
        operations: Vec::new(),
    }
}

fn subscribe(link: u64) -> Command {
    let info = FrameworkInfo {
        id: None,
        name: "cold".to_owned(),
        roles: [Role::default()].into(),
        failover_timeout: Duration::from_secs(3600),
        services: Vec::new(),
        labels: Default::default(),
        capabilities: Default::default(),
        preferences: Default::default(),
    };
    let suppressed_roles = Default::default();
    Command::SchedulerCalls {
        link: LinkId(link),
        calls: vec![Call::Subscribe {
            info,
            suppressed_roles,
            adopt: false,
        }],
    }
}

#[test]
fn a_cold_cluster_is_offered_in_bounded_steps_and_heartbeats_are_answered_in_between() {
    let config = Config {
        allocation_budget: BUDGET,
        ..Config::default()
    };
    let allocator = proffer_allocator::by_name("drf").unwrap();
    let mut master = Master::recover(config.clone(), allocator, 1, 1, Registry::default());
    let mut out = Output::default();
    for link in 0..N_AGENTS {
        master.step(Timestamp(0), agent(link), &mut out);
    }
    let (mut n_offers, mut n_steps) = (0, 0);
    // The first one to agents: there were few when it was set.
    let heartbeat = Timestamp(0).after(Duration::from_secs(1));
    let mut command = subscribe(N_AGENTS);
    loop {
        out = Output::default();
        let is_due = n_steps >= STEPS_BEFORE;
        let now = if is_due {
            heartbeat
        } else {
            Timestamp(heartbeat.0 - 1)
        };
        master.step(now, command, &mut out);
        n_steps += 1;
        let made = out
            .events
            .iter()
            .filter(|event| matches!(event, Event::OfferMade { .. }))
            .count();
        n_offers += made;
        assert!(
            u64::try_from(made).unwrap() <= BUDGET,
            "a step made {made} offers"
        );
        if n_steps == STEPS_BEFORE + 1 {
            assert!(
                n_offers < usize::try_from(N_AGENTS).unwrap(),
                "the cycle is under way"
            );
            assert_eq!(
                beats(&out).len(),
                N_TOLD_A_SECOND,
                "the step in which heartbeats fell due sends them to all who were told so"
            );
        }
        if master.next_deadline().is_none_or(|at| at > heartbeat) {
            break;
        }
        command = Command::Tick;
    }
    assert_eq!(
        u64::try_from(n_offers).unwrap(),
        N_AGENTS,
        "all agents are offered"
    );
    assert!(
        n_steps >= usize::try_from(N_AGENTS / BUDGET).unwrap(),
        "the cycle took {n_steps} steps"
    );
}

/// To whom a heartbeat goes, with the interval that agents are told.
fn beats(out: &Output) -> Vec<(LinkId, Option<Duration>)> {
    let beat = |effect: &Effect| match effect {
        Effect::ToAgent {
            link,
            message: MasterMessage::Heartbeat { interval },
            ..
        } => Some((*link, *interval)),
        Effect::ToFramework {
            link,
            event: scheduler_link::Event::Heartbeat,
        } => Some((*link, None)),
        Effect::ToAgent { .. }
        | Effect::ToFramework { .. }
        | Effect::CloseLink { .. }
        | Effect::Reply { .. } => None,
    };
    out.effects.iter().filter_map(beat).collect()
}

/// Agents, a master that knows them, and what each goes by.
struct Grown {
    master: Master,
    sessions: BTreeMap<LinkId, Session>,
    intervals: BTreeMap<LinkId, Duration>,
}

/// All registered at once, the first when there was no other.
fn grown(n_agents: u64) -> Grown {
    let allocator = proffer_allocator::by_name("drf").unwrap();
    let mut master = Master::recover(Config::default(), allocator, 1, 1, Registry::default());
    let (mut sessions, mut intervals) = (BTreeMap::new(), BTreeMap::new());
    for link in 0..n_agents {
        let mut out = Output::default();
        master.step(Timestamp(0), agent(link), &mut out);
        for effect in out.effects {
            if let Effect::ToAgent {
                link,
                session,
                message:
                    MasterMessage::Registered {
                        heartbeat_interval, ..
                    },
            } = effect
            {
                sessions.insert(link, session);
                intervals.insert(link, heartbeat_interval);
            }
        }
    }
    Grown {
        master,
        sessions,
        intervals,
    }
}

impl Grown {
    /// Lets time pass. Each agent answers at once; those that know how, with what they go by from then on. Gives the
    /// heartbeats of each second, and who was beaten when.
    fn pass(&mut self, until: Timestamp, knows: impl Fn(LinkId) -> bool) -> Vec<usize> {
        let mut seconds = Vec::new();
        let mut heard: BTreeMap<LinkId, Timestamp> = BTreeMap::new();
        while let Some(at) = self.master.next_deadline().filter(|at| *at <= until) {
            let mut out = Output::default();
            self.master.step(at, Command::Tick, &mut out);
            let closed = out.effects.iter().any(|e| matches!(e, Effect::CloseLink { .. }));
            assert!(!closed, "nobody was silent");
            for (link, told) in beats(&out) {
                let last = heard.insert(link, at).unwrap_or_default();
                assert!(
                    at.since(last) <= self.intervals[&link],
                    "{link:?} waited from {last:?} to {at:?}"
                );
                let second = usize::try_from(at.0 / 1000).unwrap();
                seconds.resize(seconds.len().max(second + 1), 0);
                seconds[second] += 1;
                let told = told.filter(|_| knows(link));
                self.intervals.extend(told.map(|told| (link, told)));
                let interval = knows(link).then(|| self.intervals[&link]);
                let frame = Command::AgentFrame {
                    link,
                    session: self.sessions[&link],
                    messages: vec![AgentMessage::Heartbeat { interval }],
                };
                self.master.step(at, frame, &mut Output::default());
            }
        }
        seconds
    }
}

#[test]
fn agents_of_a_cluster_that_grew_go_by_the_longer_interval_once_they_were_told() {
    let mut grown = grown(N_GREW);
    assert_eq!(grown.intervals[&LinkId(0)], Duration::from_secs(1));
    let seconds = grown.pass(Timestamp(30_000), |_| true);
    let all = Duration::from_secs(5);
    assert!(grown.intervals.values().all(|interval| *interval == all));
    assert!(
        seconds[10..30].iter().sum::<usize>() <= 20 * 4_100,
        "20,000 agents each five seconds: {seconds:?}"
    );
}

#[test]
fn an_agent_that_cannot_be_told_another_interval_keeps_its_own() {
    let mut grown = grown(N_GREW);
    let before = grown.intervals.clone();
    grown.pass(Timestamp(12_000), |link| link.0 % 2 == 0);
    let kept = |link: u64| grown.intervals[&LinkId(link)] == before[&LinkId(link)];
    assert!((0..N_GREW).filter(|link| link % 2 == 1).all(kept));
}

#[test]
fn an_agent_that_says_it_goes_by_an_interval_it_was_not_told_is_silent_as_soon_as_others() {
    let mut grown = grown(1);
    let (link, session) = (LinkId(0), grown.sessions[&LinkId(0)]);
    let interval = Some(Duration::from_secs(3600));
    let messages = vec![AgentMessage::Heartbeat { interval }];
    let frame = Command::AgentFrame {
        link,
        session,
        messages,
    };
    grown.master.step(Timestamp(0), frame, &mut Output::default());
    for second in 1..=3 {
        let mut out = Output::default();
        grown
            .master
            .step(Timestamp(second * 1000), Command::Tick, &mut out);
        let closed = out.effects.iter().any(|e| matches!(e, Effect::CloseLink { .. }));
        assert_eq!(closed, second == 3, "after {second} s");
    }
}
