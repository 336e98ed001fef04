//! Network policies on the wire: what is sent arrives, and what is wrong is refused with its place.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use proffer_types::container::Protocol;
use proffer_types::policy::{
    ClusterNetwork, Door, IngressRule, MAX_RULES, Member, MemberPort, NetworkPolicy, Numbers, Peer,
    PolicyPort, ServiceNetwork,
};
use proffer_wire::{ConvertError, v1};
use prost::Message as _;

fn policy() -> NetworkPolicy {
    let labels = |key: &str| [(key.to_owned(), "x".to_owned())].into();
    let port = |numbers| PolicyPort {
        protocol: Protocol::Udp,
        numbers,
    };
    let number = |number: u16| number.try_into().unwrap();
    NetworkPolicy {
        name: "db.shop".parse().unwrap(),
        selector: labels("app"),
        ingress: vec![
            IngressRule::default(),
            IngressRule {
                from: vec![
                    Peer::Services {
                        namespace: None,
                        selector: labels("tier"),
                    },
                    Peer::Services {
                        namespace: Some("ops".parse().unwrap()),
                        selector: [].into(),
                    },
                    Peer::Service("web".parse().unwrap()),
                    Peer::Addresses {
                        block: "10.0.0.0/8".parse().unwrap(),
                        except: vec!["10.1.0.0/16".parse().unwrap()],
                    },
                ],
                ports: vec![
                    port(Numbers::All),
                    port(Numbers::Name("http".into())),
                    port(Numbers::Range(number(80), number(80))),
                    port(Numbers::Range(number(80), number(90))),
                ],
            },
        ],
    }
}

#[test]
fn what_edges_are_told_arrives_as_it_was_sent() {
    let cluster = ClusterNetwork {
        hosts: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        policies: vec![policy()],
    };
    let bytes = v1::ClusterNetwork::from(&cluster).encode_to_vec();
    let arrived = v1::ClusterNetwork::decode(&*bytes).unwrap();
    assert_eq!(ClusterNetwork::try_from(arrived), Ok(cluster));

    let number = |number: u16| number.try_into().unwrap();
    let service = ServiceNetwork {
        labels: [("app".to_owned(), "web".to_owned())].into(),
        members: vec![Member {
            host: "10.0.0.1".parse().unwrap(),
            address: Some("10.88.0.2".parse().unwrap()),
            ports: vec![MemberPort {
                protocol: Protocol::Tcp,
                name: "http".into(),
                number: number(80),
                host_number: number(31_000),
            }],
        }],
        doors: vec![Door {
            protocol: Protocol::Udp,
            port: number(53),
            service: "dns.ops".parse().unwrap(),
            target_name: String::new(),
            target: number(5353),
        }],
    };
    let bytes = v1::ServiceNetwork::from(&service).encode_to_vec();
    let arrived = v1::ServiceNetwork::decode(&*bytes).unwrap();
    assert_eq!(ServiceNetwork::try_from(arrived), Ok(service));
}

#[test]
fn what_is_wrong_is_refused_with_its_place() {
    type Spoil = fn(&mut v1::NetworkPolicy);
    fn addresses(policy: &mut v1::NetworkPolicy, cidr: &str, except: &str) {
        let addresses = v1::AddressBlock {
            cidr: cidr.into(),
            except: vec![except.into()],
        };
        policy.ingress[1].from[3].peer = Some(v1::policy_peer::Peer::Addresses(addresses));
    }
    fn port(policy: &mut v1::NetworkPolicy, of: v1::PolicyPort) {
        policy.ingress[1].ports[0] = of;
    }
    let spoil: [Spoil; 12] = [
        |of| of.name = "Db.shop".into(),
        |of| of.name = "a.b.c".into(),
        |of| of.ingress = vec![v1::IngressRule::default(); MAX_RULES + 1],
        |of| of.ingress[0].from = vec![v1::PolicyPeer::default()],
        |of| of.ingress[0].ports = vec![v1::PolicyPort::default(); MAX_RULES + 1],
        |of| of.selector = (0..65).map(|n| (n.to_string(), String::new())).collect(),
        |of| addresses(of, "10.0.0.0/33", "10.0.0.0/9"),
        |of| addresses(of, "10.0.0.0/8", "11.0.0.0/9"),
        |of| {
            port(
                of,
                v1::PolicyPort {
                    last: 5,
                    ..Default::default()
                },
            );
        },
        |of| {
            let number = Some(v1::policy_port::Port::Number(80));
            port(
                of,
                v1::PolicyPort {
                    port: number,
                    last: 79,
                    protocol: 0,
                },
            );
        },
        |of| {
            let number = Some(v1::policy_port::Port::Number(0));
            port(
                of,
                v1::PolicyPort {
                    port: number,
                    ..Default::default()
                },
            );
        },
        |of| {
            port(
                of,
                v1::PolicyPort {
                    protocol: v1::PortProtocol::PortHttp.into(),
                    ..Default::default()
                },
            );
        },
    ];
    let places = [
        "name:",
        "name:",
        "ingress:",
        "ingress[0].from[0].peer:",
        "ingress[0].ports:",
        "selector:",
        "ingress[1].from[3].addresses.cidr:",
        "ingress[1].from[3].addresses.except:",
        "ingress[1].ports[0].last:",
        "ingress[1].ports[0].last:",
        "ingress[1].ports[0].number:",
        "ingress[1].ports[0].protocol:",
    ];
    for (spoil, place) in spoil.into_iter().zip(places) {
        let mut message = v1::NetworkPolicy::from(&policy());
        spoil(&mut message);
        let outcome: Result<NetworkPolicy, ConvertError> = message.try_into();
        let error = outcome.unwrap_err().to_string();
        assert!(error.starts_with(place), "{error}, not at {place}");
    }
}
