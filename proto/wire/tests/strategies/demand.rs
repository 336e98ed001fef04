//! Arbitrary constraints, preferences, shapes and quotas.

use proffer_types::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{TEXT, duration, role};

/// Amounts that survive the wire exactly, without anything else.
pub(super) fn scalars() -> impl Strategy<Value = Resources> {
    (0..=1_u64 << 51, 0..=resources::MAX_SCALAR, 0..=1_u64 << 51).prop_map(|(cpus, mem, gpus)| {
        Resources::of(cpus, mem, 0).with(ResourceName::new("gpus").unwrap(), gpus)
    })
}

fn pattern() -> impl Strategy<Value = Pattern> {
    select(vec!["", "rack-[0-9]+", "a|b", "é.*"]).prop_map(|text| Pattern::new(text).unwrap())
}

fn constraint() -> impl Strategy<Value = Constraint> {
    let selector = prop_oneof![
        Just(Selector::Hostname),
        Just(Selector::Region),
        Just(Selector::Zone),
        "[a-z]{1,8}".prop_map(Selector::Attribute),
    ];
    let predicate = prop_oneof![
        Just(Predicate::Exists),
        Just(Predicate::NotExists),
        TEXT.prop_map(Predicate::Equals),
        TEXT.prop_map(Predicate::NotEquals),
        pattern().prop_map(Predicate::Matches),
        pattern().prop_map(Predicate::NotMatches),
    ];
    (selector, predicate).prop_map(|(selector, predicate)| Constraint { selector, predicate })
}

fn constraints() -> impl Strategy<Value = OfferConstraints> {
    vec(vec(constraint(), 1..3), 0..3).prop_map(|groups| OfferConstraints { groups })
}

pub(super) fn capabilities() -> impl Strategy<Value = Capabilities> {
    any::<[bool; 4]>().prop_map(|[revocable, shared, region_aware, agents]| Capabilities {
        revocable,
        shared,
        region_aware,
        agents,
    })
}

pub(super) fn preferences() -> impl Strategy<Value = OfferPreferences> {
    (option::of(vec(scalars(), 0..3)), constraints()).prop_map(|(min_allocatable, constraints)| {
        OfferPreferences {
            min_allocatable,
            constraints,
        }
    })
}

fn shape() -> impl Strategy<Value = Shape> {
    let time_limit = duration().prop_map(|time| time + std::time::Duration::from_millis(1));
    (
        (scalars(), 1..10_u32, 0..100_u32, constraints()),
        (
            option::of(1..u32::MAX),
            select(vec![Placement::Pack, Placement::Spread]),
        ),
        (
            option::of(any::<u64>()),
            option::of(time_limit),
            any::<u64>(),
            option::of(super::id::<AgentId>()),
        ),
        any::<(bool, bool)>(),
    )
        .prop_map(
            |(
                (resources, n_ports, count, constraints),
                (max_per_agent, placement),
                (gang, time_limit, flow, agent),
                (resumes, daemon),
            )| {
                let shape = Shape {
                    n_ports,
                    constraints,
                    max_per_agent,
                    placement,
                    gang: gang.map(GangId),
                    time_limit,
                    flow,
                    agent,
                    daemon,
                    ..Shape::new(ShapeId(0), resources, count)
                };
                match resumes && shape.agent.is_some() {
                    true => Shape {
                        resources: Resources::of(1000, 0, 0),
                        n_ports: 0,
                        gang: None,
                        resumes,
                        ..shape
                    },
                    false => shape,
                }
            },
        )
}

pub(super) fn shapes() -> impl Strategy<Value = Vec<Shape>> {
    btree_map(any::<u64>(), shape(), 0..3).prop_map(|shapes| {
        let named = |(id, shape)| Shape {
            id: ShapeId(id),
            ..shape
        };
        shapes.into_iter().map(named).collect()
    })
}

pub(super) fn demand() -> impl Strategy<Value = scheduler_link::Call> {
    let backfill = select(vec![Backfill::Any, Backfill::Easy, Backfill::None]);
    let demand = (shapes(), backfill).prop_map(|(shapes, backfill)| Demand { shapes, backfill });
    (role(), option::of(demand)).prop_map(|(role, demand)| scheduler_link::Call::Demand { role, demand })
}

pub(super) fn gang() -> impl Strategy<Value = OfferGang> {
    any::<(u64, u32)>().prop_map(|(id, n_offers)| OfferGang {
        id: GangId(id),
        n_offers,
    })
}

pub(crate) fn quota() -> impl Strategy<Value = Quota> {
    let name = select(vec!["cpus", "mem", "disk", "gpus"]).prop_map(|name| ResourceName::new(name).unwrap());
    (scalars(), btree_map(name, 0..=1_u64 << 51, 0..4))
        .prop_map(|(guarantee, limit)| Quota { guarantee, limit })
}
