//! The laws of bundles.

use proptest::prelude::*;

use super::*;
use crate::role::Role;

const PLAIN: &str = "cpus:0.5;mem:64MiB;disk:1.5GiB;net_mbps:100;gpus:2;ports:[31000-32000];zones:{a,b}";
const KINDS: &str = "cpus:1;cpus{rev}:2;cpus(prod):3;mem(prod,+prod/db):4GiB;ports(prod,+prod/db):[1-9];\
                     disk(+prod)[data:/var/data]:10GiB;disk(+prod)[logs:/var/log:shared]:1GiB";

fn plain() -> impl Strategy<Value = Resources> {
    (
        (0..5000_u64, 0..5000_u64, 0..3_u64, 0..5000_u64),
        proptest::collection::vec((0..100_u64, 0..10_u64), 0..4),
        proptest::sample::subsequence(vec!["a", "b", "c"], 0..3),
    )
        .prop_map(|((cpus, mem, net, custom), ports, zones)| {
            let ranges = Ranges::new(ports.into_iter().map(|(begin, len)| (begin, begin + len)));
            Resources::of(cpus, mem, 0)
                .with(ResourceName::NetMbps, net)
                .with(ResourceName::new("gpus").unwrap(), custom)
                .with_ranges(ResourceName::Ports, ranges)
                .with_set(ResourceName::new("zones").unwrap(), Set::new(zones).unwrap())
        })
}

fn kinds() -> Vec<Kind> {
    let role = |role: &str| Role::new(role).unwrap();
    let db = Reservation::dynamic(role("prod/db"));
    let labels = [("rack".to_owned(), "7".to_owned())].into();
    vec![
        Kind::revocable(),
        Kind::reserved([Reservation::fixed(role("prod"))]),
        Kind::reserved([Reservation::fixed(role("prod")), db.clone()]),
        Kind::reserved([Reservation { labels, ..db }]),
    ]
}

fn volume(id: &str, shared: bool) -> Kind {
    Kind::reserved([Reservation::dynamic(Role::new("prod").unwrap())]).with_volume(Volume {
        id: id.parse().unwrap(),
        container_path: "/data".to_owned(),
        shared,
    })
}

pub(super) fn bundle() -> impl Strategy<Value = Resources> {
    let held = proptest::collection::vec((proptest::sample::select(kinds()), plain()), 0..4);
    (plain(), held, any::<bool>()).prop_map(|(plain, held, has_volume)| {
        let all = held.into_iter().fold(plain, |all, (kind, bundle)| {
            let rest = bundle.minus(&all.flattened());
            all.with_kind(kind, rest).unwrap()
        });
        match has_volume {
            true => all
                .with_kind(volume("data", false), Resources::of(0, 0, 7))
                .unwrap(),
            false => all,
        }
    })
}

proptest! {
    #[test]
    fn a_sum_contains_both_and_gives_scalars_back(a in bundle(), b in bundle()) {
        let sum = a.plus(&b);
        prop_assert!(sum.contains(&a) && sum.contains(&b));
        let rest = sum.minus(&b);
        for name in [ResourceName::Cpus, ResourceName::Mem, ResourceName::new("gpus").unwrap()] {
            prop_assert_eq!(rest.scalar(&name), a.scalar(&name));
        }
    }

    #[test]
    fn containment_is_exactly_lacking_nothing(a in bundle(), b in bundle()) {
        prop_assert_eq!(a.contains(&b), a.first_lacking(&b).is_none());
    }

    #[test]
    fn taking_out_what_is_contained_and_putting_it_back_changes_nothing(a in bundle(), b in bundle()) {
        let sum = a.plus(&b);
        prop_assert_eq!(sum.minus(&b).plus(&b), sum);
    }

    #[test]
    fn nothing_is_left_of_a_bundle_taken_from_itself(a in bundle()) {
        prop_assert_eq!(a.minus(&a), Resources::new());
        prop_assert_eq!(a.minus(&a.plus(&Resources::new().with(ResourceName::NetMbps, 1))), Resources::new());
    }

    #[test]
    fn totals_are_those_of_the_parts(a in bundle()) {
        let mut sum = a.plain();
        a.kinds().for_each(|(_, bundle)| sum.add(bundle));
        prop_assert_eq!(&a.flattened(), &sum);
        prop_assert_eq!(a.scalars().collect::<Vec<_>>(), sum.scalars().collect::<Vec<_>>());
        prop_assert_eq!(a.all_ranges().collect::<Vec<_>>(), sum.all_ranges().collect::<Vec<_>>());
        prop_assert_eq!(a.all_sets().collect::<Vec<_>>(), sum.all_sets().collect::<Vec<_>>());
    }

    #[test]
    fn so_many_times_a_bundle_is_its_sum(a in bundle(), n in 1..4_u32) {
        let all: Vec<_> = (0..n).map(|_| &a).collect();
        prop_assert_eq!(a.times(n), all.into_iter().sum::<Resources>());
    }

    #[test]
    fn reserved_and_unreserved_are_the_whole(a in bundle()) {
        prop_assert_eq!(a.reserved().plus(&a.unreserved()), a.clone());
        prop_assert!(!a.unreserved().kinds().any(|(kind, _)| kind.is_reserved()));
    }

    #[test]
    fn what_is_picked_for_a_request_is_there_and_is_what_was_asked(a in bundle(), wanted in plain()) {
        let usable = a.without_revocable().only(|kind| kind.volume.is_none()).flattened();
        let picked = a.take(&wanted);
        prop_assert_eq!(picked.is_some(), usable.contains(&wanted));
        if let Some(picked) = picked {
            prop_assert!(a.contains(&picked));
            prop_assert_eq!(picked.flattened(), wanted);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-c(){}+,;:\\\\\\[\\]*/ 0-9.]{0,40}") {
        let _ = text.parse::<Resources>();
    }
}

#[test]
fn a_zero_is_the_same_as_nothing() {
    assert_eq!(Resources::of(0, 0, 0), Resources::new());
    assert!(Resources::of(1, 0, 0).minus(&Resources::of(2, 0, 0)).is_empty());
}

#[test]
fn what_is_written_is_read_back() {
    let escaped = r"cpus(\+a\;b\:c\)):1;disk(+prod)[a\]b:/x\:y]:1KiB";
    for text in [PLAIN, KINDS, escaped] {
        let resources: Resources = text.parse().unwrap();
        let again: Resources = resources.to_string().parse().unwrap();
        assert_eq!(again, resources, "{text}");
    }
    let resources: Resources = PLAIN.parse().unwrap();
    assert_eq!((resources.cpu_millis(), resources.mem_bytes()), (500, 64 << 20));
    assert_eq!(resources.to_string(), PLAIN);
    assert_eq!("cpus(*):1".parse(), "cpus:1".parse::<Resources>());
}

#[test]
fn nonsense_is_refused() {
    for bad in [
        "cpus",
        "cpus:-1",
        "cpus:NaN",
        "cpus:0.0001",
        "mem:64Mib",
        "mem:-64MiB",
        "mem:99999PiB",
        "cpus:1;cpus:2",
        "ports:[5-1]",
        "ports:7",
        "a/b:1",
        "cpus:1e3",
        "mem:.5GiB",
        "zones:{a b}",
        "zones:{a",
        "cpus(prod:1",
        "cpus(prod)1",
        "cpus(prod):1;cpus(prod):2",
        "cpus(a,*):1",
        "cpus(a,b):1",
        "cpus(a,a/b):1",
        "cpus(a){rev}:1",
        "cpus{x}:1",
        "cpus(a)[v:/p]:1",
        "disk[v:/p]:1",
        "disk(a)[v:p]:1",
        "disk(a)[v:/../p]:1",
        "disk(a)[v:/p:rw]:1",
        "disk(a)[v]:1",
        r"cpus(a\",
        "disk(a)[v:/p]:1;disk(b)[v:/p]:1",
        "ports:[1-5];ports(a):[5-9]",
        "zones{rev}:{a};zones(a):{b,a}",
    ] {
        assert!(bad.parse::<Resources>().is_err(), "{bad}");
    }
    assert_eq!(
        "mem:12parsecs".parse::<Resources>().unwrap_err().to_string(),
        "`12parsecs` is not a size; write it like 64MiB, 1.5GiB or a number of bytes",
    );
}

#[test]
fn a_role_may_have_what_it_or_a_role_above_it_holds() {
    let all: Resources = KINDS.parse().unwrap();
    let may_have = |role: &str| all.allocatable_to(&Role::new(role).unwrap()).to_string();
    assert_eq!(may_have("dev"), "cpus:1;cpus{rev}:2");
    assert_eq!(may_have("production"), "cpus:1;cpus{rev}:2");
    assert_eq!(all.allocatable_to(&Role::new("prod/db/main").unwrap()), all);
    let prod = all.allocatable_to(&Role::new("prod").unwrap());
    assert_eq!(
        (prod.cpu_millis(), prod.mem_bytes(), prod.volumes().count()),
        (6000, 0, 2)
    );
    assert_eq!(
        all.reserved_to(&Role::new("prod/db").unwrap())
            .to_string()
            .matches("prod/db")
            .count(),
        2
    );
}

#[test]
fn a_shared_volume_stays_until_it_is_removed_and_another_goes_whole_or_not_at_all() {
    let shared = Resources::new()
        .with_kind(volume("s", true), Resources::of(0, 0, 9))
        .unwrap();
    let owned = Resources::new()
        .with_kind(volume("o", false), Resources::of(0, 0, 9))
        .unwrap();
    let part = Resources::new()
        .with_kind(volume("o", false), Resources::of(0, 0, 4))
        .unwrap();
    let all = shared.plus(&owned).plus(&shared);
    assert_eq!(all.disk_bytes(), 18);
    assert_eq!((all.contains(&part), all.minus(&part)), (false, all.clone()));
    assert_eq!(all.minus(&all), shared);
    let mut rest = shared.clone();
    assert!(rest.remove_volume(&"s".parse().unwrap()) && rest.is_empty());
}

#[test]
fn ports_are_picked_lowest_first_and_never_from_what_is_revocable() {
    let pick = |all: &str, n_ports| {
        let all: Resources = all.parse().unwrap();
        let picked = all.take_with_ports(&"cpus:1".parse().unwrap(), n_ports);
        picked.map(|picked| picked.to_string())
    };
    let plain = "cpus:2;ports:[5-6,9-9]";
    assert_eq!(pick(plain, 0).as_deref(), Some("cpus:1"));
    assert_eq!(pick(plain, 3).as_deref(), Some("cpus:1;ports:[5-6,9-9]"));
    assert_eq!(pick(plain, 4), None);
    let kinds = "cpus:2;ports{rev}:[1-4];ports(prod):[5-6];ports:[7-9]";
    assert_eq!(
        pick(kinds, 3).as_deref(),
        Some("cpus:1;ports:[7-7];ports(prod):[5-6]")
    );
}
