//! A cold cluster of 50,000 agents: each step examines no more than its budget, and whoever speaks in between is
//! answered in the very next step.

use std::time::Duration;

use proffer_master_core::{Command, Config, Effect, Event, LinkId, Master, Output, Registry};
use proffer_types::agent_link::MasterMessage;
use proffer_types::scheduler_link::{self, Call};
use proffer_types::{AgentInfo, FrameworkInfo, Resources, Role, Timestamp};

const N_AGENTS: u64 = 50_000;
const BUDGET: u64 = 2_000;
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
            assert!(
                beats(&out) >= usize::try_from(N_AGENTS).unwrap(),
                "the step in which heartbeats fell due sends them to everybody"
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

fn beats(out: &Output) -> usize {
    let effects = out.effects.iter();
    let beats = effects.filter(|effect| {
        matches!(
            effect,
            Effect::ToAgent {
                message: MasterMessage::Heartbeat,
                ..
            } | Effect::ToFramework {
                event: scheduler_link::Event::Heartbeat,
                ..
            }
        )
    });
    beats.count()
}

#[test]
fn an_agent_of_a_cluster_that_grew_hears_something_as_often_as_it_was_told_to_expect() {
    let config = Config::default();
    let allocator = proffer_allocator::by_name("drf").unwrap();
    let mut master = Master::recover(config, allocator, 1, 1, Registry::default());
    let mut out = Output::default();
    for link in 0..20_000 {
        master.step(Timestamp(0), agent(link), &mut out);
    }
    let told = out.effects.iter().find_map(|effect| {
        let Effect::ToAgent { link, message, .. } = effect else {
            return None;
        };
        let MasterMessage::Registered {
            heartbeat_interval, ..
        } = message
        else {
            return None;
        };
        (*link == LinkId(0)).then_some(*heartbeat_interval)
    });
    let told = told.unwrap();
    let mut last = Timestamp(0);
    while last < Timestamp(0).after(told * 4) {
        let mut out = Output::default();
        let at = master.next_deadline().unwrap();
        master.step(at, Command::Tick, &mut out);
        if beats(&out) > 0 {
            assert!(at.since(last) <= told, "nothing was said from {last:?} to {at:?}");
            last = at;
        }
    }
}
