//! Ports of the host that containers publish.

use proffer_session::Scheduler as _;
use proffer_types::container::{NetworkMode, PortMapping, Protocol};
use proffer_types::scheduler_link::Call;
use proffer_types::{Operation, Resources, Role};

use super::world::{World, offer, spec_of};
use crate::JobSpec;

fn port(container_port: u16, host_port: u16) -> PortMapping {
    PortMapping {
        name: String::new(),
        container_port,
        host_port,
        protocol: Protocol::Tcp,
    }
}

#[test]
fn an_instance_gets_a_port_for_each_mapping_that_leaves_the_hosts_open() {
    let mut task = spec_of("a", 2, None, Resources::of(1000, 1 << 30, 0));
    task.container.network.mode = NetworkMode::Bridge;
    task.container.network.ports = vec![port(80, 0), port(81, 8081), port(82, 0)];
    let job = JobSpec {
        name: "J".to_owned(),
        role: Role::default(),
        tasks: vec![task],
        ..JobSpec::default()
    };
    let mut world = World::new();
    world.run(|batch, cx| batch.submit(job, cx)).0.unwrap();
    assert_eq!(
        world
            .batch
            .demand(&Role::default(), proffer_types::Timestamp(0))
            .shapes[0]
            .n_ports,
        2
    );

    let room_for_one = offer("O1", "cpus:4;mem:8GiB;ports:[31000-31000,31005-31006]", None);
    let ((), calls) = world.run(|batch, cx| batch.offers(cx, vec![room_for_one]));
    let Some(Call::Accept { operations, .. }) = calls.first() else {
        panic!("{calls:?}");
    };
    let [Operation::Launch(tasks)] = operations.as_slice() else {
        panic!("{operations:?}");
    };
    let resources: Vec<_> = tasks.iter().map(|task| task.resources.to_string()).collect();
    assert_eq!(resources, ["cpus:1;mem:1GiB;ports:[31000-31000,31005-31005]"]);
}
