//! What edges are told, and when.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use expect_test::{Expect, expect};
use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping, Protocol};
use proffer_types::discovery::{
    BalancePolicy, DiscoveredPort, DiscoveredService, Endpoint, OutlierDetection, PortProtocol, ServiceName,
};

use super::world::scenario;
use crate::{Target, VirtualPort, VirtualService};

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

/// A port of the task: `http`, 80 in its container.
pub(super) fn network() -> NetworkSpec {
    NetworkSpec {
        mode: NetworkMode::Bridge,
        ports: vec![PortMapping {
            name: "http".to_owned(),
            container_port: 80,
            host_port: 0,
            protocol: Protocol::Tcp,
        }],
        ..NetworkSpec::default()
    }
}

/// `8080:http`, `8080:80`, `80`.
pub(super) fn port(text: &str) -> VirtualPort {
    let (number, target) = text
        .split_once(':')
        .map_or((text, None), |(number, to)| (number, Some(to)));
    let to = |text: &str| match text.parse() {
        Ok(number) => Target::Number(number),
        Err(_) => Target::Name(text.to_owned()),
    };
    VirtualPort {
        port: DiscoveredPort {
            name: None,
            number: number.parse().unwrap(),
            protocol: PortProtocol::Tcp,
            published: None,
            policy: BalancePolicy::default(),
            retries: 2,
            outlier: OutlierDetection::default(),
        },
        target: target.map_or(Target::Same, to),
    }
}

pub(super) fn labels(words: &[&str]) -> BTreeMap<String, String> {
    let pairs = words.iter().map(|word| word.split_once('=').unwrap());
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// `app=web 80 @10.9.9.9`: labels, ports, static addresses.
pub(super) fn virtual_service(name: &str, words: &[&str]) -> VirtualService {
    let (selector, rest): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
    let (fixed, ports): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.starts_with('@'));
    let endpoint = |text: &&str| Endpoint {
        id: text[1..].into(),
        address: text[1..].parse().unwrap(),
        ports: vec![(None, NonZeroU16::new(80).unwrap())],
        weight: 1,
        agent_id: None,
        probe: true,
    };
    VirtualService {
        name: name.to_owned(),
        ports: ports.iter().map(|text| port(text)).collect(),
        selector: labels(&selector),
        endpoints: fixed.iter().map(endpoint).collect(),
        headless: false,
    }
}

pub(super) fn show(changes: Vec<(ServiceName, Option<DiscoveredService>)>) -> String {
    let lines = changes.into_iter().map(|(name, service)| {
        let Some(service) = service else {
            return format!("{name} is gone");
        };
        let address = service
            .virtual_address
            .map_or_else(String::new, |address| format!(" at {address}"));
        let ports: Vec<_> = service.ports.iter().map(|port| port.number.to_string()).collect();
        let endpoints = service.endpoints.iter().map(|endpoint| {
            let ports: Vec<_> = endpoint.ports.iter().map(|(_, port)| port.to_string()).collect();
            format!("{}={}:{}", endpoint.id, endpoint.address, ports.join(","))
        });
        let endpoints: Vec<_> = endpoints.collect();
        format!("{name}{address} [{}] {}", ports.join(" "), endpoints.join(" "))
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_replica_is_told_while_it_serves_and_leaves_before_it_is_killed() {
    check(
        "ports
        checks
        apply web 1 cpus:1;mem:64MiB
        changes
        offer A cpus:4;mem:4GiB;ports:[31000-31001]
        RUNNING web.0.1
        changes
        WELL-READY web.0.1
        changes
        WELL-NOT web.0.1
        changes
        WELL-READY web.0.1
        changes
        restart
        changes
        scale web 0
        changes
        wait 1
        restart
        wait 1
        KILLED web.0.1
        changes
        delete web
        changes",
        expect![[r#"
            ports ->
            checks ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            changes -> default/web [80]
            offer A cpus:4;mem:4GiB;ports:[31000-31001] -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            changes -> default/web [80]
            WELL-READY web.0.1 ->
            changes -> default/web [80] web.0.1=10.0.0.1:31000
            WELL-NOT web.0.1 ->
            changes -> default/web [80]
            WELL-READY web.0.1 ->
            changes -> default/web [80] web.0.1=10.0.0.1:31000
            restart ->
            changes -> default/web [80] web.0.1=10.0.0.1:31000
            scale web 0 -> want *
            changes -> default/web [80]
            wait 1 ->
            restart ->
            wait 1 -> kill web.0.1; want *
            KILLED web.0.1 ->
            changes -> default/web [80]
            delete web ->
            changes -> default/web is gone
        "#]],
    );
}

#[test]
fn what_does_not_serve_is_killed_at_once() {
    check(
        "ports
        checks
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB;ports:[31000-31001]
        RUNNING web.0.1
        scale web 0",
        expect![[r#"
            ports ->
            checks ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB;ports:[31000-31001] -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            scale web 0 -> kill web.0.1
        "#]],
    );
}

#[test]
fn a_blue_green_deployment_shows_one_colour_at_a_time() {
    check(
        "ports
        update blue-green by-hand
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB;ports:[31000-31001]
        RUNNING web.0.1
        changes
        apply web 1 cpus:1;mem:64MiB new
        offer A cpus:4;mem:4GiB;ports:[31002-31003]
        RUNNING web.0.2
        changes
        promote web
        changes
        wait 2
        KILLED web.0.1
        changes",
        expect![[r#"
            ports ->
            update blue-green by-hand ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB;ports:[31000-31001] -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            changes -> default/web [80] web.0.1=10.0.0.1:31000
            apply web 1 cpus:1;mem:64MiB new -> version 2; want * 2*1
            offer A cpus:4;mem:4GiB;ports:[31002-31003] -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            changes -> default/web [80] web.0.1=10.0.0.1:31000
            promote web -> version 2
            changes -> default/web [80] web.0.2=10.0.0.1:31002
            wait 2 -> kill web.0.1
            KILLED web.0.1 ->
            changes -> default/web [80] web.0.2=10.0.0.1:31002
        "#]],
    );
}

#[test]
fn an_exposed_service_has_an_address_and_keeps_it() {
    check(
        "ports
        expose 8080:https
        apply web 1 cpus:1;mem:64MiB
        expose 8080:http
        apply web 1 cpus:1;mem:64MiB
        apply shop.eu 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB;ports:[31000-31001]
        RUNNING web.0.1
        changes
        problems web
        virtual web app=web 80
        restart
        changes
        expose
        apply web 1 cpus:1;mem:64MiB
        changes
        delete web
        KILLED web.0.1
        apply db 1 cpus:1;mem:64MiB
        expose 80
        apply db 1 cpus:1;mem:64MiB
        changes",
        expect![[r#"
            ports ->
            expose 8080:https ->
            apply web 1 cpus:1;mem:64MiB -> service `web` exposes port 8080, which leads to no port of its task
            expose 8080:http ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            apply shop.eu 1 cpus:1;mem:64MiB -> created; want * 2*1 1*1
            offer A cpus:4;mem:4GiB;ports:[31000-31001] -> launch shop.eu.0.1 web.0.1 on A; want *
            RUNNING web.0.1 ->
            changes -> eu/shop at 10.213.0.2 [8080] 
                default/web at 10.213.0.1 [8080] web.0.1=10.0.0.1:31001
            problems web -> no edge reports: its address and ports are served nowhere (`proffer edge`)
            virtual web app=web 80 -> service `web` is exposed under its name already; take one of the two away
            restart ->
            changes -> eu/shop at 10.213.0.2 [8080] 
                default/web at 10.213.0.1 [8080] web.0.1=10.0.0.1:31001
            expose ->
            apply web 1 cpus:1;mem:64MiB -> version 1; want *
            changes -> default/web [80] web.0.1=10.0.0.1:31001
            delete web ->
            KILLED web.0.1 ->
            apply db 1 cpus:1;mem:64MiB -> created; want * 3*1
            expose 80 ->
            apply db 1 cpus:1;mem:64MiB -> version 1
            changes -> default/db at 10.213.0.1 [80] 
                default/web is gone
        "#]],
    );
}

#[test]
fn a_virtual_service_leads_to_what_has_its_labels_in_its_namespace() {
    check(
        "ports
        labels app=web tier=1
        apply web 1 cpus:1;mem:64MiB
        apply web.eu 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB;ports:[31000-31001]
        RUNNING web.0.1
        RUNNING web.eu.0.1
        virtual front app=web 8000:80
        virtual web.eu app=web 81
        virtual lone app=none 80
        virtual fixed 80 @10.9.9.9
        virtual Front 80
        virtual a.default 80
        virtual none
        virtual twice 80 80:81
        changes
        problems web.eu
        problems lone
        restart
        changes
        labels app=other
        apply web 1 cpus:1;mem:64MiB
        changes
        unvirtual web.eu
        unvirtual fixed
        unvirtual nobody
        changes",
        expect![[r#"
            ports ->
            labels app=web tier=1 ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            apply web.eu 1 cpus:1;mem:64MiB -> created; want * 1*1 2*1
            offer A cpus:4;mem:4GiB;ports:[31000-31001] -> launch web.0.1 web.eu.0.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.eu.0.1 ->
            virtual front app=web 8000:80 -> applied
            virtual web.eu app=web 81 -> applied
            virtual lone app=none 80 -> applied
            virtual fixed 80 @10.9.9.9 -> applied
            virtual Front 80 -> service name `Front` is written `front`
            virtual a.default 80 -> service name `a.default` is written `a`
            virtual none -> `none` has no port; one without an address of its own is headless
            virtual twice 80 80:81 -> two ports of `twice` are without a name
            changes -> default/fixed at 10.213.0.4 [80] 10.9.9.9=10.9.9.9:80
                default/front at 10.213.0.1 [8000] web.0.1=10.0.0.1:31000
                default/lone at 10.213.0.3 [80] 
                default/web [80] web.0.1=10.0.0.1:31000
                eu/web at 10.213.0.2 [81]
            problems web.eu -> service `web.eu` has no port that port 81 leads to
                no edge reports: its address and ports are served nowhere (`proffer edge`)
            problems lone -> no service has the labels that it selects, and it has no static address
                no edge reports: its address and ports are served nowhere (`proffer edge`)
            restart ->
            changes -> default/fixed at 10.213.0.4 [80] 10.9.9.9=10.9.9.9:80
                default/front at 10.213.0.1 [8000] web.0.1=10.0.0.1:31000
                default/lone at 10.213.0.3 [80] 
                default/web [80] web.0.1=10.0.0.1:31000
                eu/web at 10.213.0.2 [81]
            labels app=other ->
            apply web 1 cpus:1;mem:64MiB -> version 1; want *
            changes -> default/fixed at 10.213.0.4 [80] 10.9.9.9=10.9.9.9:80
                default/front at 10.213.0.1 [8000] 
                default/lone at 10.213.0.3 [80] 
                default/web [80] web.0.1=10.0.0.1:31000
            unvirtual web.eu ->
            unvirtual fixed ->
            unvirtual nobody -> there is no virtual service `nobody`
            changes -> default/fixed is gone
                eu/web [80] web.eu.0.1=10.0.0.1:31001
        "#]],
    );
}
