//! One thing at a time.

use std::time::Duration;

use super::world::{Mood, World, config};
use crate::{Action, ConfigError, Phase};

const MINUTE: Duration = Duration::from_secs(60);

fn two_shapes() -> World {
    World::new(config(&[
        ("small", "cpus:2;mem:4GiB", 0, 4),
        ("large", "cpus:16;mem:64GiB", 0, 2),
    ]))
}

#[test]
fn what_waits_is_packed_and_so_many_agents_are_added() {
    let mut world = two_shapes();
    world.wish("cpus:8;mem:8GiB", 2, None, 5 * MINUTE);
    world.wish("cpus:1;mem:1GiB", 3, None, 5 * MINUTE);
    world.tick();
    assert!(world.decisions.is_empty(), "it has not waited yet");
    world.pass(MINUTE);
    let count = |shape: &str| world.machines.values().filter(|(of, _)| of == shape).count();
    // The two large ones fill one agent, the first shape of the list holds the rest.
    assert_eq!((count("small"), count("large")), (2, 1));
    world.pass(MINUTE);
    assert_eq!(world.n_waiting(), 0);
    // Ten minutes after the last task each is drained, removed and gone.
    world.pass(12 * MINUTE);
    assert_eq!(world.n_active("small") + world.n_active("large"), 3);
    world.pass(5 * MINUTE);
    assert!(world.machines.is_empty());
    world.assert_settled();
}

#[test]
fn a_gang_is_held_whole_or_nothing_is_added() {
    let mut world = two_shapes();
    world.wish("cpus:16;mem:1GiB", 3, Some(1), MINUTE);
    world.pass(5 * MINUTE);
    assert!(world.machines.is_empty());
    let told = world.told();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(
        told[0].contains("of a gang") && told[0].contains("shape large is at its max of 2"),
        "{told:?}"
    );
    world.wishes.clear();
    world.wish("cpus:16;mem:1GiB", 2, Some(1), MINUTE);
    world.pass(5 * MINUTE);
    assert_eq!(world.n_waiting(), 0);
}

#[test]
fn what_a_limit_forbids_or_no_shape_holds_adds_nothing_and_is_told() {
    let mut world = two_shapes();
    world.wish("cpus:17;mem:1GiB", 1, None, MINUTE);
    world.wish("cpus:1;mem:1GiB", 0, None, MINUTE);
    world.wishes[1].over_limit = 4;
    world.pass(MINUTE / 2);
    assert!(world.machines.is_empty());
    let mut told = world.told();
    told.sort_unstable();
    let limit = "framework batch in role eng (0 x cpus:1;mem:1GiB) waits: the limit of role eng on cpus keeps 4 of them, whatever agents there are";
    let none = "framework batch in role eng (1 x cpus:17;mem:1GiB) waits: no shape would hold it: small: it has cpus 2 of 17; large: it has cpus 16 of 17";
    assert_eq!(told, [limit, none]);
}

#[test]
fn a_drain_is_called_off_when_something_waits() {
    let mut world = two_shapes();
    world.wish("cpus:1;mem:1GiB", 1, None, MINUTE);
    world.pass(3 * MINUTE);
    world.moods = [Mood::Refuses; 1].into();
    while world.phases() != [Phase::Draining] {
        world.tick();
    }
    world.wish("cpus:1;mem:1GiB", 1, None, MINUTE);
    world.wishes[0].since = proffer_types::Timestamp(0);
    world.tick();
    let undrained = |world: &World| {
        let mut decisions = world.decisions.iter();
        decisions.any(|decision| matches!(decision.action, Action::Undrain { .. }))
    };
    assert!(undrained(&world), "{:?}", world.decisions);
    world.tick();
    assert_eq!((world.n_waiting(), world.machines.len()), (0, 1));
}

#[test]
fn a_provider_that_fails_is_asked_again_later_and_later() {
    let mut world = World::new(config(&[("small", "cpus:2;mem:4GiB", 0, 1)]));
    world.moods = [Mood::Refuses; 4].into();
    world.wish("cpus:1;mem:1GiB", 1, None, MINUTE);
    world.pass(20 * MINUTE);
    let is_add = |action: &Action| matches!(action, Action::Add { .. });
    let added = world.decisions.iter().filter(|decision| is_add(&decision.action));
    assert_eq!(added.count(), 5, "after 1, 2, 4 and 8 minutes");
    assert_eq!(world.n_waiting(), 0);
}

#[test]
fn an_agent_that_never_registers_is_removed_and_counts_until_then() {
    let mut world = World::new(config(&[("small", "cpus:2;mem:4GiB", 0, 1)]));
    world.moods = [Mood::Forgets, Mood::Hangs].into();
    world.wish("cpus:1;mem:1GiB", 1, None, MINUTE);
    world.pass(4 * MINUTE);
    world.restart();
    world.pass(20 * MINUTE);
    assert!(
        world
            .told()
            .iter()
            .any(|told| told.contains("it counts as failed")),
        "{:?}",
        world.told()
    );
    assert_eq!(world.n_waiting(), 0);
}

#[test]
fn the_min_is_kept_whatever_happens() {
    let mut world = World::new(config(&[("small", "cpus:2;mem:4GiB", 2, 3)]));
    world.pass(MINUTE);
    assert_eq!(world.n_active("small"), 2);
    world.pass(30 * MINUTE);
    assert_eq!(world.n_active("small"), 2);
    world.lose(0);
    world.pass(MINUTE);
    assert_eq!(world.n_active("small"), 2, "another one in its stead");
    world.pass(30 * MINUTE);
    assert_eq!(world.machines.len(), 2);
    world.assert_settled();
}

#[test]
fn a_wrong_configuration_is_refused_by_name() {
    let check = |shapes: &[(&str, &str, u32, u32)]| config(shapes).check().unwrap_err();
    assert_eq!(check(&[]), ConfigError::NoShapes);
    assert_eq!(check(&[("A", "cpus:1", 0, 1)]), ConfigError::Name("A".to_owned()));
    assert_eq!(
        check(&[("a", "ports:[1-2]", 0, 1)]),
        ConfigError::Resources("a".to_owned())
    );
    assert_eq!(
        check(&[("a", "cpus:1", 2, 1)]),
        ConfigError::Bounds("a".to_owned(), 2, 1)
    );
    let same = [("a", "cpus:1", 0, 1), ("a", "cpus:2", 0, 1)];
    assert_eq!(check(&same), ConfigError::SameName("a".to_owned()));
}
