//! What all services together may take.

use proffer_session::{Context, Output};
use proffer_types::{Role, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::empty;
use super::world::spec;
use crate::{
    Amount, Applied, ApplyError, MAX_REPLICAS, MAX_ROLES, MAX_SERVICES, MAX_TOTAL_REPLICAS, Services,
};

fn run<R>(services: &mut Services, command: impl FnOnce(&mut Services, &mut Context<'_>) -> R) -> R {
    let (mut output, mut held) = (Output::default(), Vec::new());
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut cx = Context::new(Timestamp(0), &mut rng, &mut output, &mut held);
    command(services, &mut cx)
}

fn apply(services: &mut Services, name: &str, role: &str, replicas: u32) -> Result<Applied, ApplyError> {
    let mut spec = spec(name, replicas, "cpus:1;mem:64MiB", &[]);
    spec.role = Role::new(role).unwrap();
    run(services, |services, cx| services.apply(spec, cx))
}

#[test]
fn replicas_are_bounded_over_all_services() {
    let mut services = empty();
    for n in 0..MAX_TOTAL_REPLICAS / MAX_REPLICAS as usize - 1 {
        apply(&mut services, &format!("s{n}"), "*", MAX_REPLICAS).unwrap();
    }
    apply(&mut services, "one", "*", 1).unwrap();
    let refusal = apply(&mut services, "last", "*", MAX_REPLICAS).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "all services together would have 100001 replicas, at most 100000 are allowed"
    );
    apply(&mut services, "last", "*", MAX_REPLICAS - 1).unwrap();
    let scaled = run(&mut services, |services, cx| {
        services.scale("last", MAX_REPLICAS, cx)
    });
    assert_eq!(scaled.unwrap_err().to_string(), refusal.to_string());
}

#[test]
fn services_are_bounded_and_those_that_are_there_can_still_be_changed() {
    let mut services = empty();
    for n in 0..MAX_SERVICES {
        apply(&mut services, &format!("s{n}"), "*", 0).unwrap();
    }
    let refusal = apply(&mut services, "last", "*", 1).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "there are 1000 services, and no room for another"
    );
    apply(&mut services, "s0", "*", 1).unwrap();
}

#[test]
fn roles_are_bounded_over_all_services_and_those_of_deleted_ones_make_room() {
    let mut services = empty();
    for n in 1..MAX_ROLES {
        apply(&mut services, &format!("s{n}"), &format!("r{n}"), 0).unwrap();
    }
    let refusal = apply(&mut services, "web", "one-more", 0).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "role `one-more` would be one more than the 64 that all services together may be in"
    );
    run(&mut services, |services, cx| services.delete("s7", cx)).unwrap();
    apply(&mut services, "web", "one-more", 0).unwrap();
}

#[test]
fn no_more_than_all_replicas_can_be_on_the_move() {
    let mut spec = spec("web", 1, "cpus:1;mem:64MiB", &[]);
    spec.disruption = Amount::Percent(101);
    let refusal = run(&mut empty(), |services, cx| services.apply(spec, cx));
    assert_eq!(
        refusal.unwrap_err().to_string(),
        "the update of service `web` has max_moving of 101%, at most 100% is possible"
    );
}
