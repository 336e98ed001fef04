//! What edges are told of services, and what they report: whole, bounded, and refused where it cannot be.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::time::Duration;

use proffer_types::discovery::{
    BalancePolicy, DiscoveredPort, DiscoveredService, Endpoint, Frame, Label, OutlierDetection, PortProtocol,
    ServiceName,
};
use proffer_types::edge_report::{
    EdgeReport, EndpointCondition, EndpointFinding, EndpointTraffic, ListenerFailure, PolicyReport, Traffic,
};
use proffer_wire::discovery::frames;
use proffer_wire::edge_report::MAX_FINDINGS;
use proffer_wire::frame::FRAME_BYTES;
use proffer_wire::{ConvertError, v1};
use proptest::prelude::*;
use prost::Message;

fn sent<T: Message + Default>(message: &T) -> T {
    T::decode(message.encode_to_vec().as_slice()).unwrap()
}

fn label() -> impl Strategy<Value = Label> {
    "[a-z0-9][a-z0-9_-]{0,62}".prop_map(|text| text.parse().unwrap())
}

fn number() -> impl Strategy<Value = NonZeroU16> {
    (1u16..).prop_map(|number| NonZeroU16::new(number).unwrap())
}

fn name() -> impl Strategy<Value = ServiceName> {
    (label(), label()).prop_map(|(namespace, name)| ServiceName { namespace, name })
}

fn a_port() -> impl Strategy<Value = DiscoveredPort> {
    let protocol = prop_oneof![
        Just(PortProtocol::Tcp),
        Just(PortProtocol::Udp),
        Just(PortProtocol::Http)
    ];
    let policy = prop_oneof![
        Just(BalancePolicy::RoundRobin),
        Just(BalancePolicy::Random),
        Just(BalancePolicy::Weighted),
        Just(BalancePolicy::LeastConnections),
    ];
    let outlier =
        (any::<u32>(), 1u64..3_600_000, 0u64..1000, 0u32..=100).prop_map(|(n, base, more, percent)| {
            OutlierDetection {
                consecutive_failures: n,
                base_ejection: Duration::from_millis(base),
                max_ejection: Duration::from_millis(base + more),
                max_ejected_percent: percent,
            }
        });
    (
        prop::option::of(label()),
        number(),
        protocol,
        prop::option::of(number()),
        policy,
        0u32..=10,
        outlier,
    )
        .prop_map(
            |(name, number, protocol, published, policy, retries, outlier)| DiscoveredPort {
                name,
                number,
                protocol,
                published,
                policy,
                retries,
                outlier,
            },
        )
}

fn an_endpoint(index: usize) -> impl Strategy<Value = Endpoint> {
    let address = prop_oneof![
        (1u32..0xdfff_ffff).prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        (1u128..1 << 64).prop_map(|bits| IpAddr::V6(bits.into())),
    ];
    (
        address,
        prop::option::of(label()),
        number(),
        1u32..=1000,
        any::<bool>(),
    )
        .prop_map(move |(address, port, number, weight, probe)| Endpoint {
            id: format!("e{index}").into(),
            address,
            ports: vec![(port, number)],
            weight,
            agent_id: (!probe).then(|| "m-a1".parse().unwrap()),
            probe,
        })
}

fn a_service() -> impl Strategy<Value = DiscoveredService> {
    let endpoints = (0usize..4).prop_flat_map(|n| (0..n).map(an_endpoint).collect::<Vec<_>>());
    let own = prop::option::of((1u32..0xdfff_ffff).prop_map(Ipv4Addr::from_bits));
    (name(), own, prop::option::of(a_port()), endpoints).prop_map(
        |(name, virtual_address, port, endpoints)| DiscoveredService {
            name,
            virtual_address,
            ports: port.into_iter().collect(),
            endpoints,
            network: Default::default(),
        },
    )
}

/// What comes of a frame's services at the other end.
fn received(messages: &[v1::WatchResponse]) -> Vec<DiscoveredService> {
    let mut services: Vec<DiscoveredService> = Vec::new();
    let mut is_part = false;
    for message in messages {
        let frame = Frame::try_from(sent(message)).unwrap();
        for (service, more) in frame.services {
            match services.last_mut().filter(|_| is_part) {
                Some(last) => {
                    assert_eq!(last.name, service.name);
                    last.endpoints.extend(service.endpoints);
                }
                None => services.push(service),
            }
            is_part = more;
        }
    }
    assert!(!is_part);
    services
}

proptest! {
    #[test]
    fn services_arrive_as_they_were_sent(
        services in prop::collection::vec(a_service(), 0..5),
        removed in prop::collection::vec(name(), 0..3),
        complete in any::<bool>(),
    ) {
        let messages = frames(&services, &removed, None, complete);
        prop_assert_eq!(messages.is_empty(), services.is_empty() && removed.is_empty() && !complete);
        prop_assert_eq!(received(&messages), services);
        let frames = messages.iter().map(|message| Frame::try_from(message.clone()).unwrap());
        let frames: Vec<Frame> = frames.collect();
        prop_assert_eq!(frames.iter().flat_map(|frame| frame.removed.clone()).collect::<Vec<_>>(), removed);
        prop_assert_eq!(frames.last().is_some_and(|frame| frame.complete), complete);
    }
}

#[test]
fn a_service_larger_than_a_frame_comes_in_parts_that_fit() {
    let endpoint = |n: u32| Endpoint {
        id: format!("task-{n}-{}", "x".repeat(100)).into(),
        address: Ipv4Addr::from_bits(0x0a00_0000 + n).into(),
        ports: vec![(None, NonZeroU16::MIN)],
        weight: 1,
        agent_id: Some("m-a1".parse().unwrap()),
        probe: false,
    };
    let label = || "web".parse().unwrap();
    let service = DiscoveredService {
        name: ServiceName {
            namespace: label(),
            name: label(),
        },
        virtual_address: None,
        ports: Vec::new(),
        endpoints: (0..20_000).map(endpoint).collect(),
        network: Default::default(),
    };
    let messages = frames(std::slice::from_ref(&service), &[], None, true);
    assert!(messages.len() > 2);
    assert!(
        messages
            .iter()
            .all(|message| message.encoded_len() <= FRAME_BYTES)
    );
    assert_eq!(received(&messages), [service]);
}

fn refusal<T>(message: impl TryInto<T, Error = ConvertError>) -> String {
    message.try_into().err().unwrap().to_string()
}

fn service_message() -> v1::DiscoveredService {
    v1::DiscoveredService {
        name: Some(v1::ServiceName {
            namespace: "default".into(),
            name: "web".into(),
        }),
        ports: vec![v1::DiscoveredPort {
            name: "http".into(),
            number: 80,
            protocol: v1::PortProtocol::PortHttp.into(),
            ..Default::default()
        }],
        endpoints: vec![v1::Endpoint {
            id: "e".into(),
            address: "10.0.0.1".into(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn a_service_that_cannot_be_is_refused_by_the_field_that_is_wrong() {
    assert!(DiscoveredService::try_from(service_message()).is_ok());
    let check = |change: &dyn Fn(&mut v1::DiscoveredService), expected: &str| {
        let mut message = service_message();
        change(&mut message);
        let refusal = refusal::<DiscoveredService>(message);
        assert!(refusal.starts_with(expected), "{refusal}");
    };
    check(&|of| of.name = None, "name: is missing");
    for bad in ["", "a.b", "-a", "_a", "é", &"x".repeat(64)] {
        check(&|of| of.name.as_mut().unwrap().name = bad.into(), "name.name: ");
    }
    check(&|of| of.virtual_address = "fd00::1".into(), "virtual_address: ");
    check(
        &|of| of.virtual_address = "224.0.0.1".into(),
        "virtual_address: 224.0.0.1 is no address",
    );
    check(
        &|of| of.ports[0].number = 0,
        "ports[0].number: 0 is not 1 to 65535",
    );
    check(&|of| of.ports[0].published = Some(70_000), "ports[0].published: ");
    check(&|of| of.ports[0].protocol = 9, "ports[0].protocol: 9");
    check(&|of| of.ports[0].policy = 9, "ports[0].policy: 9");
    check(&|of| of.ports[0].retries = Some(11), "ports[0].retries: 11");
    check(
        &|of| of.ports = vec![of.ports[0].clone(); 2],
        "ports[1]: two have the name",
    );
    check(&|of| of.ports = vec![of.ports[0].clone(); 65], "ports: 65 ports");
    let tcp_beside = |of: &mut v1::DiscoveredService| {
        let mut other = of.ports[0].clone();
        other.name = "tcp".into();
        other.protocol = v1::PortProtocol::PortTcp.into();
        of.ports.push(other);
    };
    check(&tcp_beside, "ports[1]: two have the number");
    let outlier = |outlier: v1::OutlierDetection| {
        move |of: &mut v1::DiscoveredService| of.ports[0].outlier = Some(outlier)
    };
    let base = |base_ejection_ms| v1::OutlierDetection {
        base_ejection_ms: Some(base_ejection_ms),
        ..Default::default()
    };
    check(&outlier(base(0)), "ports[0].outlier.base_ejection_ms: ");
    check(&outlier(base(3_600_001)), "ports[0].outlier.base_ejection_ms: ");
    let longest = v1::OutlierDetection {
        max_ejection_ms: Some(1),
        ..Default::default()
    };
    check(&outlier(longest), "ports[0].outlier.max_ejection_ms: ");
    let percent = v1::OutlierDetection {
        max_ejected_percent: Some(101),
        ..Default::default()
    };
    check(&outlier(percent), "ports[0].outlier.max_ejected_percent: ");
    check(&|of| of.endpoints[0].id = String::new(), "endpoints[0].id: ");
    check(
        &|of| of.endpoints[0].address = "web".into(),
        "endpoints[0].address: ",
    );
    check(
        &|of| of.endpoints[0].address = "0.0.0.0".into(),
        "endpoints[0].address: ",
    );
    check(&|of| of.endpoints[0].weight = 1001, "endpoints[0].weight: ");
    check(
        &|of| of.endpoints = vec![of.endpoints[0].clone(); 2],
        "endpoints[1]: two have the id",
    );
    let port = v1::EndpointPort::default();
    check(
        &|of| of.endpoints[0].ports = vec![port.clone()],
        "endpoints[0].ports[0].number: ",
    );
    let many = v1::WatchResponse {
        services: vec![service_message(); 1001],
        ..Default::default()
    };
    assert_eq!(
        refusal::<Frame>(many),
        "services: 1001 services, at most 1000 are allowed"
    );
}

fn report() -> EdgeReport {
    let service = || ServiceName {
        namespace: "default".parse().unwrap(),
        name: "web".parse().unwrap(),
    };
    let mut traffic = Traffic {
        count: 3,
        failed: 1,
        latency_sum_us: 9,
        ..Traffic::default()
    };
    (traffic.by_class[1], traffic.latency[13]) = (2, 3);
    EdgeReport {
        edge: "host".into(),
        listeners: vec![ListenerFailure {
            service: service(),
            port: 80,
            address: "0.0.0.0:80".into(),
            reason: "in use".into(),
        }],
        endpoints: [EndpointCondition::Ejected, EndpointCondition::Unreachable]
            .map(|condition| EndpointFinding {
                service: service(),
                port: 80,
                endpoint: "e".into(),
                condition,
            })
            .into(),
        traffic: vec![EndpointTraffic {
            service: service(),
            port: 53,
            endpoint: "e".into(),
            traffic,
            in_flight: 4,
        }],
        interval: Duration::from_millis(1500),
        policy: PolicyReport {
            hosts: vec!["10.0.0.1".parse().unwrap()],
            problem: "no nft".into(),
        },
    }
}

#[test]
fn a_report_arrives_as_it_was_sent_and_is_bounded() {
    let message = v1::EdgeReport::from(&report());
    assert_eq!(EdgeReport::try_from(sent(&message)).unwrap(), report());
    let check = |change: &dyn Fn(&mut v1::EdgeReport), expected: &str| {
        let mut message = message.clone();
        change(&mut message);
        let refusal = refusal::<EdgeReport>(message);
        assert!(refusal.starts_with(expected), "{refusal}");
    };
    check(&|of| of.edge = "a\nb".into(), "edge: ");
    check(
        &|of| of.listeners = vec![of.listeners[0].clone(); MAX_FINDINGS + 1],
        "listeners: 1001",
    );
    check(
        &|of| of.endpoints = vec![of.endpoints[0].clone(); MAX_FINDINGS + 1],
        "endpoints: 1001",
    );
    check(
        &|of| of.traffic = vec![of.traffic[0].clone(); 10_001],
        "traffic: 10001",
    );
    check(
        &|of| of.traffic[0].latency = vec![1],
        "traffic[0].latency: has 1 counts, not 14",
    );
    check(
        &|of| of.traffic[0].by_class = vec![1; 6],
        "traffic[0].by_class: has 6 counts, not 5",
    );
    check(
        &|of| of.traffic[0].service = None,
        "traffic[0].service: is missing",
    );
    check(&|of| of.traffic[0].port = 65_536, "traffic[0].port: ");
    check(&|of| of.endpoints[0].condition = 0, "endpoints[0].condition: ");
}
