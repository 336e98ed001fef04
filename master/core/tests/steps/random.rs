//! Whatever peers say, in whatever order: no panic, every invariant holds, the state is the fold of its events.

use proptest::prelude::*;

use crate::script::play_what_is_possible;

const COMMANDS: [&str; 83] = [
    "agent a0 cpus:4;mem:1GiB",
    "agent a1 cpus:2;ports:[1-9]",
    "agent a0 cpus:4;mem:1GiB f0/t0=RUNNING f1/t1=STARTING",
    "agent a0 cpus:1;mem:1GiB f0/t0=FINISHED f9/t1=RUNNING",
    "agent a1 cpus:2;ports:[1-9] f0/t0=RUNNING f0/t2=KILLING",
    "framework f0 failover 30",
    "framework f0 role eng role eng/prod",
    "framework f1 failover 0",
    "framework f2 role eng failover 100",
    "lost a0",
    "lost a1",
    "lost f0",
    "lost f1",
    "mute a0",
    "mute f0",
    "accept f0 o0 refuse 5 t0@a0:cpus:1",
    "accept f0 o1 t1@a0:cpus:1 t2@a1:cpus:1",
    "accept f0 o2,o3 t3@a1:cpus:0.5;ports:[1-3]",
    "accept f0 o4 t2@a1:cpus:1;ports:[2-5]",
    "accept f1 o0,o5 refuse 2 t1@a0:cpus:2",
    "accept f1 o6 t1@a0:mem:1GiB t0@a0:cpus:1",
    "accept f2 o2 t0@a0:cpus:1",
    "accept f2 o7 t0@a1:cpus:1",
    "decline f0 o1 refuse 9",
    "decline f0 o2,o4,o6 refuse 1",
    "decline f1 o3 refuse 9",
    "decline f2 o5",
    "status a0 f0/t0 RUNNING",
    "status a0 f0/t0 FINISHED",
    "status a0 f0/t1 RUNNING FAILED",
    "status a1 f0/t2 KILLED",
    "status a1 f0/t3 FINISHED",
    "status a0 f1/t1 RUNNING",
    "status a0 f1/t1 KILLED",
    "status a0 f9/t1 KILLED",
    "ack f0 t0",
    "ack f0 t1",
    "ack f1 t1",
    "kill f0 t0 5",
    "kill f1 t1",
    "reconcile f0",
    "reconcile f0 t0 t9 t1@a0",
    "suppress f0",
    "revive f0",
    "teardown f1",
    "operator-teardown f0",
    "weight eng 2000",
    "agent a2 cpus:4;disk:4GiB;disk(+eng)[v:/v:shared]:1GiB",
    "agent a2 cpus:3;cpus(+eng):1;disk:5GiB f0!p1=FINISHED",
    "update f0 role eng",
    "update f0 role b role eng/prod shared yes",
    "demand f0 * 1=cpus:1x3 2=cpus:1x2^1",
    "demand f0 eng 1=cpus:1x2@g1 2=cpus:2x1@g1",
    "demand f2 eng 1=cpus:1x9",
    "undemand f0 *",
    "accept f0 o0,o1 t1@a0:cpus:1#1 t2@a1:cpus:1#1",
    "accept f0 o2,o3,o4 t1@a0:cpus:1#1 t2@a1:cpus:1#1",
    "accept f0 o1 group:t1@a0:cpus:1&t2@a0:cpus:1",
    "accept f2 o1 refuse 5 p1/reserve:cpus:1>eng p2/reserve:disk:2GiB>eng p3/create:disk(+eng):1GiB>d t1@a2:cpus:1;disk(+eng)[d:/d]:1GiB",
    "accept f2 o3 refuse 5 p4/destroy:v p5/grow:d>1GiB /unreserve:cpus(+eng):1",
    "accept f0 o5 p1/reserve:cpus:1>eng",
    "operation a2 f2/p1 FINISHED",
    "operation a2 f0/p1 FAILED",
    "operation a2 master/own-p0 FINISHED",
    "total a2 cpus:4;disk:6GiB",
    "reconcile-operations f2",
    "reconcile-operations f0 p1@a2 p9",
    "reserve a2 cpus(+eng):1",
    "unreserve a2 cpus(+eng):1",
    "role eng limit cpus:3",
    "role eng guarantee cpus:2 force",
    "role eng/prod guarantee cpus:1 limit cpus:1 force",
    "role eng guarantee nothing limit nothing",
    "restart",
    "deactivate a0",
    "reactivate a0",
    "gone a0",
    "gone a1",
    "drain a0",
    "drain a0,a1 at-once 1",
    "drain a1,a0 at-once 1 grace 1 gone yes",
    "undrain a0",
    "undrain a1,a0",
];

fn command() -> impl Strategy<Value = &'static str> {
    let waits = ["wait 1", "wait 6", "wait 40", "wait 80"];
    prop_oneof![9 => prop::sample::select(&COMMANDS[..]), 1 => prop::sample::select(waits.to_vec())]
}

proptest! {
    #[test]
    fn nothing_peers_do_breaks_an_invariant(
        allocator in prop::sample::select(proffer_allocator::names().to_vec()),
        script in proptest::collection::vec(command(), 1..80),
    ) {
        play_what_is_possible(allocator, &script);
    }
}
