//! Whatever comes in whatever order, what must hold between steps holds.

use proptest::prelude::*;

use super::world::World;

fn command() -> impl Strategy<Value = String> {
    let name = prop_oneof![Just("t"), Just("u"), Just("v")];
    let known = prop_oneof![
        Just("launched"),
        Just("gone"),
        Just("oom"),
        Just("ack"),
        Just("kill"),
        Just("preparing"),
        Just("health"),
        Just("health"),
        Just("limit"),
        Just("suspend"),
        Just("frozen"),
    ];
    prop_oneof![
        2 => Just("up".to_owned()),
        3 => Just("registered".to_owned()),
        1 => Just("down".to_owned()),
        1 => Just("crash".to_owned()),
        1 => Just("shutdown".to_owned()),
        4 => (name.clone(), 1..5_u8, options()).prop_map(|(name, cpus, options)| format!("run {name} cpus:{cpus} {options}")),
        2 => (1..3_u8, 1..3_u8, options()).prop_map(|(t, u, options)| format!("group t cpus:{t} u cpus(+prod):{u} {options}")),
        4 => operation(),
        2 => (name.clone(), 1..5_u8).prop_map(|(name, cpus)| format!("stale run {name} cpus:{cpus}")),
        8 => (known, name.clone()).prop_map(|(what, name)| format!("{what} {name}")),
        2 => (prop_oneof![Just("health"), Just("ready"), Just("fail")], name.clone()).prop_map(|(what, name)| format!("{what} {name} refused")),
        2 => name.clone().prop_map(|name| format!("exit {name} 1")),
        2 => (name.clone(), 1..3_u8).prop_map(|(name, n)| format!("resume {name} {n}")),
        1 => name.clone().prop_map(|name| format!("frozen {name} stuck")),
        2 => name.prop_map(|name| format!("exit {name} 0")),
        2 => (1..20_u8).prop_map(|seconds| format!("wait {seconds}")),
    ]
}

fn options() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        2 => Just(""),
        1 => Just("restart=failure max=2 health=1"),
        1 => Just("restart=always time=30 ready=1"),
    ]
}

fn operation() -> impl Strategy<Value = String> {
    let change = prop_oneof![
        (1..3_u8).prop_map(|cpus| format!("reserve prod cpus:{cpus}")),
        (1..3_u8).prop_map(|cpus| format!("unreserve cpus(+prod):{cpus}")),
        Just("reserve prod disk:1GiB".to_owned()),
        Just("share d disk(+prod):1GiB".to_owned()),
        Just("destroy d".to_owned()),
    ];
    let name = prop_oneof![Just("-"), Just("o"), Just("p")];
    prop_oneof![
        4 => (name, change).prop_map(|(name, change)| format!("op {name} {change}")),
        1 => Just("op-ack o".to_owned()),
        1 => Just("run w disk(+prod)[d:/data:shared]:1GiB".to_owned()),
        1 => Just("gone w".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_commands_over_commits_or_revives_a_task(
        script in proptest::collection::vec(command(), 1..60),
        full in proptest::option::of((0..60_usize, 0..60_usize)),
    ) {
        let mut world = World::new();
        world.run("up | registered | run t cpus:1 | run u cpus:1 | run v cpus:1");
        for (index, line) in script.iter().enumerate() {
            world.full_for = full.filter(|(from, to)| (from..to).contains(&&index)).map(|(from, _)| ["t", "resources"][from % 2].to_owned());
            world.run(line);
        }
    }
}
