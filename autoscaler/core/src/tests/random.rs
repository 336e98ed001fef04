//! Whatever is wanted, and however the provider behaves: never above max, never below min, nothing lost, and in the end
//! everything runs that a shape would hold.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Mood, World, config};

#[derive(Debug, Clone)]
enum Event {
    Wish {
        cpus: u32,
        count: u32,
        gang: Option<u64>,
        minutes: u64,
    },
    Forbidden {
        count: u32,
    },
    Mood(Mood),
    Pass {
        ticks: u64,
    },
    Restart,
    Lose(usize),
}

fn event() -> impl Strategy<Value = Event> {
    let mood = prop_oneof![
        3 => Just(Mood::Works),
        1 => Just(Mood::Refuses),
        1 => Just(Mood::Hangs),
        1 => Just(Mood::Forgets),
    ];
    let gang = prop_oneof![3 => Just(None), 1 => (0..3_u64).prop_map(Some)];
    prop_oneof![
        3 => (1..=8_u32, 1..=6_u32, gang, 1..30_u64)
            .prop_map(|(cpus, count, gang, minutes)| Event::Wish { cpus, count, gang, minutes }),
        1 => (1..5_u32).prop_map(|count| Event::Forbidden { count }),
        3 => mood.prop_map(Event::Mood),
        4 => (1..200_u64).prop_map(|ticks| Event::Pass { ticks }),
        1 => Just(Event::Restart),
        1 => (0..8_usize).prop_map(Event::Lose),
    ]
}

fn happen(world: &mut World, event: Event) {
    match event {
        Event::Wish {
            cpus,
            count,
            gang,
            minutes,
        } => {
            let each = format!("cpus:{cpus};mem:1GiB");
            world.wish(&each, count, gang, Duration::from_secs(60 * minutes));
        }
        Event::Forbidden { count } => {
            world.wish("cpus:1;mem:1GiB", 0, None, Duration::from_secs(60));
            world.wishes.last_mut().unwrap().over_limit = count;
        }
        Event::Mood(mood) => world.moods.push_back(mood),
        Event::Pass { ticks } => (0..ticks).for_each(|_| world.tick()),
        Event::Restart => world.restart(),
        Event::Lose(nth) => world.lose(nth),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_can_be_held_is_held_and_what_is_not_needed_is_removed(
        events in prop::collection::vec(event(), 1..25),
        min in 0..3_u32,
    ) {
        // Gangs of 18 tasks may need 18 large ones.
        let shapes = [("small", "cpus:4;mem:16GiB", min, 6), ("large", "cpus:8;mem:16GiB", 0, 60)];
        let mut world = World::new(config(&shapes));
        for event in events {
            happen(&mut world, event);
        }
        world.moods.clear();
        world.pass(Duration::from_secs(3 * 3600));
        prop_assert_eq!(world.n_waiting(), 0);
        world.wishes.clear();
        world.pass(Duration::from_secs(3 * 3600));
        world.assert_settled();
        prop_assert_eq!(world.n_active("small"), usize::try_from(min).unwrap());
        prop_assert_eq!(world.n_active("large"), 0);
    }
}
