//! Some thousand variations of valid input a target, and everything that was ever found.

use std::panic::catch_unwind;
use std::path::Path;

use proffer_fuzz::TARGETS;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Of each target: a few seconds of an unoptimized build.
const N_VARIATIONS: u64 = 3_000;
const MAX_CHANGES: u32 = 6;

/// A seed with a few bytes changed, cut out, doubled, or taken from another seed.
fn variation(rng: &mut ChaCha8Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[rng.random_range(0..seeds.len())].clone();
    for _ in 0..rng.random_range(1..=MAX_CHANGES) {
        let at = rng.random_range(0..=input.len());
        let end = rng.random_range(at..=input.len());
        match rng.random_range(0..6) {
            0 => input.truncate(at),
            1 => drop(input.drain(at..end)),
            2 => {
                let doubled = input[at..end].to_vec();
                input.splice(at..at, doubled);
            }
            3 => {
                let other = &seeds[rng.random_range(0..seeds.len())];
                let from = rng.random_range(0..=other.len());
                input.splice(at..end, other[from..].iter().copied());
            }
            4 => input.insert(at, u8::try_from(rng.next_u32() & 0xff).unwrap_or_default()),
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
        }
    }
    input
}

#[test]
fn no_variation_of_valid_input_gets_through_to_a_panic() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let variations = (0..N_VARIATIONS).map(|_| variation(&mut rng, &seeds));
        for input in seeds.iter().cloned().chain(variations.collect::<Vec<_>>()) {
            let result = catch_unwind(|| (target.run)(&input));
            assert!(result.is_ok(), "{}: {}", target.name, input.escape_ascii());
        }
    }
}

#[test]
fn nothing_that_was_found_comes_back() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("found");
    for target in TARGETS {
        for entry in std::fs::read_dir(found.join(target.name)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let input = std::fs::read(&path).unwrap();
            let result = catch_unwind(|| (target.run)(&input));
            assert!(result.is_ok(), "{}", path.display());
        }
    }
}
