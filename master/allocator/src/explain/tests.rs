//! Reasons, from a ledger written down to the sentences told of it.

mod rehearse;
mod unmet;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use expect_test::{Expect, expect};
use proffer_types::{
    AgentInfo, Attribute, Capabilities, Constraint, FaultDomain, FrameworkId, OfferConstraints,
    OfferPreferences, Predicate, Resources, Role, Selector, Shape, ShapeId, Timestamp,
};

use super::explain;
use crate::{Claim, ClaimKind, Filter, FrameworkEntry, Held, Hold, Ledger, Waiting};

const NOW: Timestamp = Timestamp(1_000_000);

/// A ledger from lines such as `agent node-1 cpus:4;mem:4GiB`; see [`World::line`].
#[derive(Default)]
struct World {
    ledger: Ledger,
    n_frameworks: u64,
}

impl World {
    fn of(script: &str) -> Self {
        let mut world = Self {
            ledger: Ledger::new(Some("eu".to_owned())),
            ..Self::default()
        };
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split(' ').collect();
            world.line(&words);
        }
        world.ledger.check();
        world
    }

    fn line(&mut self, words: &[&str]) {
        let resources = |text: &str| text.parse::<Resources>().unwrap();
        match words {
            ["agent", name, total, facts @ ..] => self.agent(name, resources(total), facts),
            ["framework", name, role, facts @ ..] => self.framework(name, role, facts),
            ["wants", name, role, n, each, facts @ ..] => self.wants(name, role, n, resources(each), facts),
            ["holds", name, role, agent, what] => {
                self.claim(ClaimKind::Task, name, role, agent, resources(what));
            }
            ["offered", name, role, agent, what] => {
                self.claim(ClaimKind::Offer, name, role, agent, resources(what));
            }
            ["held", name, role, agent, what, seconds] => {
                self.hold(name, role, agent, resources(what), seconds)
            }
            ["declined", name, role, agent, what, seconds] => {
                let agent = self.ledger.agent_ix(&agent.parse().unwrap()).unwrap();
                let filter = Filter {
                    refused: resources(what),
                    at_least: None,
                    until: Timestamp(NOW.0 + seconds.parse::<u64>().unwrap() * 1000),
                };
                let (name, role) = (name.parse().unwrap(), role.parse().unwrap());
                self.ledger.add_filter(&name, &role, agent, filter);
            }
            ["quota", role, kind, what] => self.quota(role, kind, &resources(what)),
            other => panic!("what is {other:?}?"),
        }
    }

    fn agent(&mut self, name: &str, total: Resources, facts: &[&str]) {
        let mut info = AgentInfo {
            hostname: name.to_owned(),
            address: String::new(),
            resources: total,
            attributes: Vec::new(),
            version: String::new(),
            cgroups: String::new(),
            domain: None,
            can_suspend: false,
        };
        for fact in facts {
            match fact.split_once('=') {
                Some(("region", region)) => {
                    info.domain = Some(FaultDomain {
                        region: region.to_owned(),
                        zone: "a".to_owned(),
                    });
                }
                Some((name, value)) => info.attributes.push(Attribute {
                    name: name.to_owned(),
                    value: value.to_owned(),
                }),
                None => assert_eq!(*fact, "inactive"),
            }
        }
        let id = name.parse().unwrap();
        self.ledger.set_agent(&id, Arc::new(info));
        self.ledger.set_agent_active(&id, !facts.contains(&"inactive"));
    }

    fn framework(&mut self, name: &str, roles: &str, facts: &[&str]) {
        let roles: BTreeSet<Role> = roles.split(',').map(|role| role.parse().unwrap()).collect();
        let mut preferences = BTreeMap::new();
        for (minimum, role) in facts
            .iter()
            .filter_map(|fact| fact.strip_prefix("min="))
            .zip(&roles)
        {
            let preference = OfferPreferences {
                min_allocatable: Some(vec![minimum.parse().unwrap()]),
                ..OfferPreferences::default()
            };
            preferences.insert(role.clone(), preference);
        }
        let entry = FrameworkEntry {
            order: self.n_frameworks,
            active: !facts.contains(&"away"),
            suppressed: roles
                .iter()
                .filter(|_| facts.contains(&"suppressed"))
                .cloned()
                .collect(),
            roles,
            capabilities: Capabilities::default(),
            preferences,
        };
        self.n_frameworks += 1;
        self.ledger.set_framework(&name.parse().unwrap(), entry);
    }

    fn wants(&mut self, name: &str, role: &str, n: &str, each: Resources, facts: &[&str]) {
        let mut shape = Shape::new(ShapeId(1), each, n.parse().unwrap());
        for fact in facts {
            match fact.split_once('=').unwrap() {
                ("max", max) => shape.max_per_agent = Some(max.parse().unwrap()),
                ("gang", gang) => shape.gang = Some(proffer_types::GangId(gang.parse().unwrap())),
                ("ports", n) => shape.n_ports = n.parse().unwrap(),
                (attribute, value) => {
                    shape.constraints = OfferConstraints::all_of(vec![Constraint {
                        selector: Selector::Attribute(attribute.to_owned()),
                        predicate: Predicate::Equals(value.to_owned()),
                    }]);
                }
            }
        }
        let shapes: Vec<_> = (shape.count > 0).then_some(shape).into_iter().collect();
        let (name, role) = (name.parse().unwrap(), role.parse().unwrap());
        assert!(
            self.ledger
                .set_demand(&name, &role, Some(shapes.into()), NOW)
                .is_some()
        );
    }

    fn claim(&mut self, kind: ClaimKind, name: &str, role: &str, agent: &str, what: Resources) {
        let leaf = self
            .ledger
            .leaf_ix(&name.parse().unwrap(), &role.parse().unwrap())
            .unwrap();
        let agent = self.ledger.agent_ix(&agent.parse().unwrap()).unwrap();
        let states_demand = self.ledger.leaf(leaf).unwrap().states_demand();
        let mut claim = Claim::new(kind, leaf, agent, what);
        if states_demand {
            claim.shapes = vec![(ShapeId(1), 1)];
        }
        self.ledger.claim(claim);
    }

    fn hold(&mut self, name: &str, role: &str, agent: &str, resources: Resources, seconds: &str) {
        let agent = self.ledger.agent_ix(&agent.parse().unwrap()).unwrap();
        let held = Held {
            resources,
            free_by: None,
        };
        let hold = Hold {
            waiting: Waiting::Shape(ShapeId(1)),
            agents: [(agent, held)].into(),
            since: NOW,
            until: Timestamp(NOW.0 + seconds.parse::<u64>().unwrap() * 1000),
        };
        let (name, role) = (name.parse().unwrap(), role.parse().unwrap());
        self.ledger.set_hold(&name, &role, hold);
    }

    fn quota(&mut self, role: &str, kind: &str, what: &Resources) {
        let role = role.parse().unwrap();
        let mut config = self.ledger.role_config(&role);
        match kind {
            "limit" => {
                config.quota.limit = what
                    .scalars()
                    .map(|(name, units)| (name.clone(), units))
                    .collect()
            }
            "guarantee" => config.quota.guarantee = what.clone(),
            other => panic!("what is {other}?"),
        }
        self.ledger.set_role(&role, config);
    }
}

/// What is told of framework `f`.
fn check(script: &str, expected: Expect) {
    let world = World::of(script);
    let explanation = explain(&world.ledger, &FrameworkId::new("f").unwrap(), NOW);
    let mut text = String::new();
    for part in &explanation.parts {
        text += &format!("{part}\n");
        for counted in &part.reasons {
            text += &format!("    {counted}\n");
        }
    }
    expected.assert_eq(&text);
}

#[test]
fn what_keeps_everything_away_is_told_alone() {
    check(
        "agent node-1 cpus:4;mem:4GiB
         framework f eng away",
        expect![[r#"
            offers in role eng
                the framework is not connected
        "#]],
    );
    check(
        "agent node-1 cpus:4;mem:4GiB
         framework f eng suppressed",
        expect![[r#"
            offers in role eng
                the framework suppressed offers in the role, and has not revived them
        "#]],
    );
    check(
        "agent node-1 cpus:4;mem:4GiB
         framework f eng
         wants f eng 0 cpus:1",
        expect![[r#"
            offers in role eng
                the framework wants nothing more in the role
        "#]],
    );
    check(
        "agent node-1 cpus:4;mem:4GiB
         framework f eng
         wants f eng 1 cpus:1
         offered f eng node-1 cpus:1",
        expect![[r#"
            offers in role eng
                all it wants is offered to it now, and it has yet to answer
        "#]],
    );
    check(
        "framework f eng",
        expect![[r#"
        offers in role eng
            there are no agents
    "#]],
    );
}

#[test]
fn the_nearest_miss_is_the_agent_that_lacks_the_smallest_part() {
    check(
        "agent node-1 cpus:4;mem:1GiB
         agent node-7 cpus:4;mem:3584MiB
         agent node-9 cpus:4;mem:2GiB
         framework f eng
         wants f eng 3 cpus:1;mem:4GiB",
        expect![[r#"
            3 tasks of cpus:1;mem:4GiB in role eng
                3 agents are too small in mem, even idle: nearest is node-7, by 512MiB
        "#]],
    );
}

#[test]
fn who_has_what_is_wanted_is_named_with_the_shares() {
    check(
        "agent node-1 cpus:4;mem:4GiB
         agent node-2 cpus:4;mem:4GiB
         agent node-3 cpus:4;mem:4GiB
         framework f eng
         framework g ads
         framework h ads
         holds g ads node-1 cpus:3.5;mem:1GiB
         offered g ads node-2 cpus:4
         holds h ads node-2 mem:1GiB
         holds f eng node-3 cpus:4
         wants f eng 1 cpus:1;mem:1GiB",
        expect![[r#"
            1 task of cpus:1;mem:1GiB in role eng
                2 agents lack cpus: nearest is node-1, by 0.5; g in role ads, with a share of 62.5% against 33.3%, has it
                1 agent lacks cpus beside its own tasks: node-3, by 1
        "#]],
    );
}

#[test]
fn every_obstacle_is_counted_under_its_own_name() {
    check(
        "agent node-1 cpus:4;mem:4GiB inactive
         agent node-2 cpus:4;mem:4GiB region=us rack=r1
         agent node-3 cpus:4;mem:4GiB rack=r2
         agent node-4 cpus:4;mem:4GiB rack=r2
         agent node-5 cpus(ads):4;mem:4GiB rack=r1
         agent node-6 cpus:4;mem:4GiB rack=r1
         agent node-7 cpus:4;mem:4GiB rack=r1
         agent node-8 cpus:4;mem:4GiB rack=r1
         framework f eng
         wants f eng 9 cpus:1 rack=r1 max=2
         holds f eng node-6 cpus:1
         holds f eng node-6 cpus:1
         declined f eng node-7 cpus:8;mem:8GiB 90",
        expect![[r#"
            9 tasks of cpus:1 in role eng
                2 agents fail the constraint `rack = r1`
                1 agent has room: an offer is due
                1 agent is filtered, as the framework declined it: the filter ends in 90.0s
                1 agent has 2 of its tasks, the most it wants on one
                1 agent is away
                1 agent is in another region, which the framework does not use
                1 agent is reserved for role ads
        "#]],
    );
}

#[test]
fn what_is_held_is_told_to_who_waits_and_to_whom_it_keeps_waiting_and_for_how_long() {
    let world = "agent node-1 cpus:4;mem:4GiB
         framework f eng
         framework g ads
         holds g ads node-1 cpus:2";
    check(
        &format!("{world}\nwants f eng 1 cpus:4\nheld f eng node-1 cpus:4 600"),
        expect![[r#"
            1 task of cpus:4 in role eng
                1 agent is held for it, for 10m at most: what ends there goes to it
                1 agent lacks cpus: node-1, by 2; g in role ads, with a share of 50.0% against 0.0%, has it
        "#]],
    );
    check(
        &format!("{world}\nwants f eng 1 cpus:1\nwants g ads 1 cpus:4\nheld g ads node-1 cpus:4 600"),
        expect![[r#"
            1 task of cpus:1 in role eng
                1 agent is held, for 10m at most, until there is room for what is to go first, of g
        "#]],
    );
}

#[test]
fn a_limit_names_the_ancestor_and_what_it_leaves() {
    check(
        "agent node-1 cpus:8;mem:8GiB
         agent node-2 cpus:8;mem:8GiB
         framework f eng/web
         framework g eng
         quota eng limit cpus:4
         quota eng/web limit cpus:6
         holds g eng node-1 cpus:3.5
         wants f eng/web 2 cpus:1",
        expect![[r#"
            2 tasks of cpus:1 in role eng/web
                the limit of role eng on cpus leaves 0.5 of the 1 needed, on 2 agents
        "#]],
    );
    check(
        "agent node-1 cpus:8;mem:8GiB
         agent node-2 cpus:8;mem:8GiB
         framework f eng
         quota eng limit cpus:4
         wants f eng 5 cpus:1 gang=7",
        expect![[r#"
            5 tasks of cpus:1 in role eng
                the limit of role eng on cpus leaves 4 of the 5 needed by the whole gang
                2 agents have room for a part of its gang, which is offered whole or not at all
        "#]],
    );
}

#[test]
fn what_is_guaranteed_to_others_is_told_as_such() {
    check(
        "agent node-1 cpus:8;mem:8GiB
         framework f eng
         quota ads guarantee cpus:7.5
         wants f eng 1 cpus:1",
        expect![[r#"
            1 task of cpus:1 in role eng
                the guarantees of other roles on cpus leave 0.5 of the 1 needed, on 1 agent
        "#]],
    );
}

#[test]
fn without_a_statement_an_agent_is_short_of_the_smallest_offer() {
    check(
        "agent node-1 cpus:4;mem:4GiB
         agent node-2 cpus:1;mem:4GiB
         framework f eng min=cpus:2
         framework g ads
         holds g ads node-1 cpus:3",
        expect![[r#"
            offers in role eng
                1 agent lacks cpus: node-1, by 1; g in role ads, with a share of 60.0% against 0.0%, has it
                1 agent is too small in cpus, even idle: node-2, by 1
        "#]],
    );
    check(
        "agent node-1 cpus:4;mem:4GiB
         framework f *,eng
         framework g ads
         holds g ads node-1 cpus:4;mem:4GiB",
        expect![[r#"
            offers in role *
                1 agent is in use; g in role ads, with a share of 100.0% against 0.0%, has it
            offers in role eng
                1 agent is in use; g in role ads, with a share of 100.0% against 0.0%, has it
        "#]],
    );
}

#[test]
fn ports_are_counted() {
    check(
        "agent node-1 cpus:4;ports:[31000-31001]
         framework f eng
         wants f eng 1 cpus:1 ports=3",
        expect![[r#"
            1 task of cpus:1 and 3 ports in role eng
                1 agent is too small in ports, even idle: node-1, by 1
        "#]],
    );
}

#[test]
fn an_answer_is_bounded_and_says_what_it_left_out() {
    let mut world = World::of("agent node-1 cpus:1\nframework f eng");
    let shapes = (0..40).map(|id| Shape::new(ShapeId(id), Resources::of(2000, 0, 0), 1));
    let f = FrameworkId::new("f").unwrap();
    world.ledger.set_demand(
        &f,
        &Role::new("eng").unwrap(),
        Some(shapes.collect::<Vec<_>>().into()),
        NOW,
    );
    let explanation = explain(&world.ledger, &f, NOW);
    assert_eq!((explanation.parts.len(), explanation.n_left_out), (32, 8));
}
