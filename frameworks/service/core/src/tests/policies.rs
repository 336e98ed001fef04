//! Network policies: kept, and told with who is where.

use std::net::IpAddr;

use expect_test::expect;
use proffer_session::Scheduler as _;
use proffer_types::edge_report::{EdgeReport, PolicyReport};
use proffer_types::policy::{IngressRule, MAX_POLICIES, NetworkPolicy, Peer};
use proffer_types::{TaskId, TaskState};

use super::discovery::labels;
use super::world::{World, known_of};
use crate::ApplyPolicyError;

fn policy(name: &str, selector: &[&str], peers: &[&[&str]]) -> NetworkPolicy {
    let peer = |words: &&[&str]| Peer::Services {
        namespace: None,
        selector: labels(words),
    };
    let rule = IngressRule {
        from: peers.iter().map(peer).collect(),
        ports: Vec::new(),
    };
    NetworkPolicy {
        name: name.parse().unwrap(),
        selector: labels(selector),
        ingress: if peers.is_empty() { Vec::new() } else { vec![rule] },
    }
}

impl World {
    fn lines(&mut self, lines: &[&str]) {
        for line in lines {
            self.line(line);
        }
    }

    /// A task runs, at an address of its own.
    fn runs_at(&mut self, task: &str, address: &str) {
        let mut status = super::world::status(&TaskId::new(task).unwrap(), TaskState::Running, self.now);
        status.condition.addresses = vec![address.parse().unwrap()];
        self.run(|services, cx| services.update(cx, &status));
    }

    /// What changed, as far as policies are concerned.
    fn told(&mut self) -> String {
        let mut lines = Vec::new();
        for (name, service) in self.services.take_changes() {
            let Some(service) = service else {
                lines.push(format!("{name} is gone"));
                continue;
            };
            let network = service.network;
            let members = network.members.iter().map(|of| {
                let ports = of.ports.iter();
                let ports: Vec<_> = ports
                    .map(|port| format!("{}:{}={}", port.name, port.number, port.host_number))
                    .collect();
                format!("{}/{:?} {}", of.host, of.address, ports.join(","))
            });
            let members: Vec<_> = members.collect();
            let doors = network.doors.iter();
            let doors: Vec<_> = doors
                .map(|of| format!("{}->{}:{}", of.port, of.service, of.target))
                .collect();
            lines.push(format!("{name} {:?} {members:?} {doors:?}", network.labels));
        }
        if let Some(network) = self.services.take_network() {
            lines.push(format!(
                "{} policies, hosts {:?}",
                network.policies.len(),
                network.hosts
            ));
        }
        lines.join("\n")
    }
}

#[test]
fn who_is_where_is_told_while_there_is_a_policy_and_no_longer() {
    let mut world = World::new();
    world.lines(&[
        "ports",
        "labels app=web tier=front",
        "expose 80:http",
        "apply web 1 cpus:1;mem:64MiB",
        "offer A cpus:4;mem:4GiB;ports:[31000-31001]",
    ]);
    expect!["default/web {} [] []"].assert_eq(&world.told());

    let deny = policy("deny", &["app=web"], &[]);
    let (applied, _) = world.run(|services, cx| services.apply_policy(deny.clone(), cx));
    assert_eq!(applied, Ok(true));
    // Where it will be is told before it runs.
    expect![[r#"
        default/web {"app": "web"} ["10.0.0.1/None http:80=31000"] ["80->default/web:80"]
        1 policies, hosts [10.0.0.1]"#]]
    .assert_eq(&world.told());
    world.runs_at("web.0.1", "10.88.0.2");
    expect![[
        r#"default/web {"app": "web"} ["10.0.0.1/Some(10.88.0.2) http:80=31000"] ["80->default/web:80"]"#
    ]]
    .assert_eq(&world.told());
    let (again, _) = world.run(|services, cx| services.apply_policy(deny, cx));
    assert_eq!((again, world.told().as_str()), (Ok(false), ""));
    assert_eq!(world.services.list_policies()[0].services, ["web"]);

    world.lines(&["restart"]);
    expect![[r#"
        default/web {"app": "web"} ["10.0.0.1/Some(10.88.0.2) http:80=31000"] ["80->default/web:80"]
        1 policies, hosts [10.0.0.1]"#]]
    .assert_eq(&world.told());
    world.lines(&["KILLED web.0.1"]);
    expect![[r#"default/web {"app": "web"} [] ["80->default/web:80"]"#]].assert_eq(&world.told());
    world
        .run(|services, cx| services.delete_policy("deny", cx))
        .0
        .unwrap();
    expect![[r#"
        default/web {} [] []
        0 policies, hosts []"#]]
    .assert_eq(&world.told());
    let (gone, _) = world.run(|services, cx| services.delete_policy("deny", cx));
    assert_eq!(gone.unwrap_err().to_string(), "there is no network policy `deny`");
}

#[test]
fn there_are_only_so_many_and_only_so_large() {
    let mut world = World::new();
    let long = format!("a={}", "x".repeat(60_000));
    let large = policy("large", &[], &[&[&long], &[&long]]);
    for n in 0..4 {
        let mut policy = large.clone();
        policy.name = format!("large-{n}").parse().unwrap();
        world
            .run(|services, cx| services.apply_policy(policy, cx))
            .0
            .unwrap();
    }
    let (refused, _) = world.run(|services, cx| services.apply_policy(large, cx));
    assert!(matches!(refused, Err(ApplyPolicyError::Bytes(_))), "{refused:?}");
    for n in 4..MAX_POLICIES {
        let policy = policy(&format!("p{n}"), &[], &[]);
        world
            .run(|services, cx| services.apply_policy(policy, cx))
            .0
            .unwrap();
    }
    let (refused, _) = world.run(|services, cx| services.apply_policy(policy("one-more", &[], &[]), cx));
    assert_eq!(refused, Err(ApplyPolicyError::Full));
}

#[test]
fn where_a_policy_is_not_enforced_is_said() {
    let mut world = World::new();
    let agents = [
        ("A", "10.0.0.1:5051"),
        ("B", "10.0.0.2:5051"),
        ("C", "host-c:5051"),
    ]
    .map(|(name, address)| {
        let mut agent = known_of(name);
        address.clone_into(&mut agent.info.address);
        agent
    });
    world.run(|services, cx| services.agents(cx, &agents, &[]));
    assert_eq!(world.services.policy_problems(world.now), [""; 0]);
    let deny = policy("deny", &[], &[]);
    world
        .run(|services, cx| services.apply_policy(deny, cx))
        .0
        .unwrap();
    let mut report = |edge: &str, hosts: &[IpAddr], problem: &str| {
        let report = EdgeReport {
            edge: edge.to_owned(),
            listeners: Vec::new(),
            endpoints: Vec::new(),
            traffic: Vec::new(),
            interval: std::time::Duration::ZERO,
            policy: PolicyReport {
                hosts: hosts.to_vec(),
                problem: problem.to_owned(),
            },
        };
        let now = world.now;
        world.services.reported(report, now);
        world.services.policy_problems(now).join("\n") + "\n"
    };
    let said =
        report("one", &[], "`nft` is not installed") + &report("one", &["10.0.0.1".parse().unwrap()], "");
    expect![[r#"
        not enforced by edge one: `nft` is not installed
        not enforced on A (10.0.0.1): no edge reports that it does (`proffer edge`)
        not enforced on B (10.0.0.2): no edge reports that it does (`proffer edge`)
        not enforced on C: its agent told `host-c:5051`, which is no IP address (`--advertise`)
        not enforced on B (10.0.0.2): no edge reports that it does (`proffer edge`)
        not enforced on C: its agent told `host-c:5051`, which is no IP address (`--advertise`)
    "#]]
    .assert_eq(&said);
}
