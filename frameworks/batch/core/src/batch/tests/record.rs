//! What is in the store stays readable.

use proffer_session::Scheduler as _;
use proffer_types::{
    Constraint, Limit, Limits, OfferConstraints, Placement, PlacementRules, Predicate, Resources, Role,
    Selector,
};

use super::world::{World, spec_of};
use crate::{Batch, JobSpec, Pick};

fn job(name: &str) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        role: Role::default(),
        priority: 5,
        tasks: vec![spec_of("a", 2, None, Resources::of(1000, 1 << 20, 0))],
        ..JobSpec::default()
    }
}

/// `job("J")` as it was written before containers had images, volumes and networks.
const EARLIER: &[u8] = b"(\x02:<\n\x01J\x12\x01*\x18\x05\"2\n\x01a\x10\x02\"!\n\x0f\n\x04cpus\x11\0\0\0\0\0\0\xf0?\n\x0e\n\x03mem\x11\0\0\0\0\0\x000A*\x06\n\x04trueB\0";

#[test]
fn a_job_of_an_earlier_version_is_read_and_one_without_news_is_written_the_same() {
    let mut world = World::new();
    world.run(|batch, cx| batch.submit(job("J"), cx)).0.unwrap();
    let key = "job/00000000000000000001".to_owned();
    assert_eq!(world.store[&key], EARLIER);
    let mut batch = Batch::new();
    batch.recover(&[(key, EARLIER.to_vec())]).unwrap();
    assert_eq!(*batch.get("J", &Pick::all()).unwrap().spec, job("J"));
}

#[test]
fn limits_rules_and_gangs_outlive_a_restart() {
    let mut world = World::new();
    let mut spec = job("J");
    spec.gang = true;
    spec.tasks[0].gang = true;
    spec.tasks[0].limits = Limits {
        cpus: Some(Limit::Infinite),
        mem: Some(Limit::At(1 << 30)),
    };
    spec.tasks[0].rules = PlacementRules {
        constraints: OfferConstraints::all_of(vec![Constraint {
            selector: Selector::Region,
            predicate: Predicate::NotEquals("eu".to_owned()),
        }]),
        max_per_agent: Some(2),
        placement: Some(Placement::Spread),
    };
    world.run(|batch, cx| batch.submit(spec.clone(), cx)).0.unwrap();
    let mut batch = Batch::new();
    batch
        .recover(&world.store.into_iter().collect::<Vec<_>>())
        .unwrap();
    assert_eq!(*batch.get("J", &Pick::all()).unwrap().spec, spec);
    let shape = &batch.demand(&Role::default(), proffer_types::Timestamp(0)).shapes[0];
    assert_eq!(
        (shape.max_per_agent, shape.placement, shape.count),
        (Some(2), Placement::Spread, 2)
    );
}
