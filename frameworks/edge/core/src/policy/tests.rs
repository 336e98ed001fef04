//! What is let through, held against what policies say; and the rules as text.

use std::num::NonZeroU16;
use std::sync::Arc;

use expect_test::expect;
use proffer_types::discovery::{BalancePolicy, DiscoveredPort, OutlierDetection};
use proffer_types::policy::{Block, Door, Labels, MemberPort, NetworkPolicy, PolicyPort, ServiceNetwork};
use proptest::prelude::*;

use super::*;

const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

fn host() -> Host {
    Host {
        addresses: [HERE, Ipv4Addr::new(10, 88, 0, 1)].map(IpAddr::V4).into(),
        networks: vec![
            Network {
                address: HERE,
                prefix: 8,
                mac: [1; 6],
            },
            Network {
                address: Ipv4Addr::new(10, 88, 0, 1),
                prefix: 16,
                mac: [2, 0x50, 10, 88, 0, 1],
            },
        ],
    }
}

fn cluster(policies: Vec<NetworkPolicy>) -> ClusterNetwork {
    ClusterNetwork {
        hosts: vec![HERE.into(), THERE.into()],
        policies,
    }
}

/// A service whose replicas listen on `http`, 80, and on 53 by UDP; the nth of all on this host and one on the other.
fn service(nth: u8, full: &str, of: Labels, doors: &[&str]) -> (ServiceName, Arc<DiscoveredService>) {
    let member = |host: Ipv4Addr, last: u8| Member {
        host: host.into(),
        address: Some(Ipv4Addr::new(10, 88, 0, last)),
        ports: vec![
            MemberPort {
                protocol: Protocol::Tcp,
                name: "http".into(),
                number: number(80),
                host_number: number(31_000 + u16::from(last)),
            },
            MemberPort {
                protocol: Protocol::Udp,
                name: String::new(),
                number: number(53),
                host_number: number(31_000 + u16::from(last)),
            },
        ],
    };
    let door = |of: &&str| Door {
        protocol: Protocol::Tcp,
        port: number(8080),
        service: name(of),
        target_name: "http".into(),
        target: number(80),
    };
    let port = DiscoveredPort {
        name: None,
        number: number(8080),
        protocol: PortProtocol::Http,
        published: Some(number(9000 + u16::from(nth))),
        policy: BalancePolicy::default(),
        retries: 0,
        outlier: OutlierDetection::default(),
    };
    let service = DiscoveredService {
        name: name(full),
        virtual_address: Some(Ipv4Addr::new(10, 213, 0, nth)),
        ports: vec![port],
        endpoints: Vec::new(),
        network: ServiceNetwork {
            labels: of,
            members: vec![member(HERE, 10 + nth), member(THERE, 20 + nth)],
            doors: doors.iter().map(door).collect(),
        },
    };
    (service.name.clone(), Arc::new(service))
}

fn services() -> Services {
    [
        service(1, "web.shop", labels(&[("app", "web")]), &["web.shop"]),
        service(
            2,
            "db.shop",
            labels(&[("app", "db"), ("tier", "back")]),
            &["db.shop", "web.shop"],
        ),
        service(3, "batch", labels(&[("app", "web")]), &["batch"]),
        service(4, "log.ops", Labels::new(), &[]),
    ]
    .into()
}

impl Ruleset {
    /// What the chain does with the first packet of a connection.
    fn passes(&self, from: Ipv4Addr, to: Ipv4Addr, protocol: Protocol, port: u16) -> bool {
        let from_bits = from.to_bits();
        if self.hosts.contains(&from.into()) {
            return true;
        }
        if let Some(spans) = self.addresses.get(&(to, protocol, port)) {
            return spans.holds(from_bits);
        }
        if host().addresses.contains(&to.into())
            && let Some(spans) = self.local.get(&(protocol, port))
        {
            return spans.holds(from_bits);
        }
        let Some(allowed) = self.containers.get(&to) else {
            return true;
        };
        allowed.iter().any(|Allowed { ports, from }| {
            let is_meant =
                ports.is_none_or(|(of, first, last)| of == protocol && (first..=last).contains(&port));
            is_meant && from.holds(from_bits)
        })
    }
}

/// As Kubernetes says it: who is selected by no policy accepts everything, else what a rule of one of them allows.
fn accepts(
    policies: &[NetworkPolicy],
    to: &DiscoveredService,
    port: (Protocol, &str, u16),
    from: Ipv4Addr,
    sender: Option<&DiscoveredService>,
) -> bool {
    let selects = |policy: &&NetworkPolicy| {
        let has = |(key, value): (&String, &String)| to.network.labels.get(key) == Some(value);
        policy.name.namespace == to.name.namespace && policy.selector.iter().all(has)
    };
    let selecting: Vec<_> = policies.iter().filter(selects).collect();
    let is_peer = |peer: &Peer| match peer {
        Peer::Services { namespace, selector } => sender.is_some_and(|sender| {
            let has = |(key, value): (&String, &String)| sender.network.labels.get(key) == Some(value);
            namespace.as_ref().is_none_or(|of| *of == sender.name.namespace) && selector.iter().all(has)
        }),
        Peer::Service(of) => sender.is_some_and(|sender| sender.name == *of),
        Peer::Addresses { block, except } => {
            let within = |block: &Block| {
                let (first, last) = block.bounds();
                (Ipv4Addr::from_bits(first)..=Ipv4Addr::from_bits(last)).contains(&from)
            };
            within(block) && !except.iter().any(within)
        }
    };
    let is_port = |of: &PolicyPort| {
        of.protocol == port.0
            && match &of.numbers {
                Numbers::All => true,
                Numbers::Name(of) => of == port.1,
                Numbers::Range(first, last) => first.get() <= port.2 && port.2 <= last.get(),
            }
    };
    let mut rules = selecting.iter().flat_map(|policy| &policy.ingress);
    selecting.is_empty()
        || rules.any(|rule| {
            (rule.from.is_empty() || rule.from.iter().any(is_peer))
                && (rule.ports.is_empty() || rule.ports.iter().any(is_port))
        })
}

fn selector() -> impl Strategy<Value = Labels> {
    prop_oneof![
        Just(Labels::new()),
        Just(labels(&[("app", "web")])),
        Just(labels(&[("app", "db")])),
        Just(labels(&[("app", "db"), ("tier", "back")])),
        Just(labels(&[("app", "none")])),
    ]
}

fn namespace() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("shop"), Just("default"), Just("ops")]
}

fn peer() -> impl Strategy<Value = Peer> {
    let blocks = [
        "10.88.0.0/24",
        "10.88.0.8/29",
        "192.0.2.0/24",
        "192.0.2.128/25",
        "0.0.0.0/0",
    ];
    let block = |text: &str| text.parse::<Block>().unwrap();
    prop_oneof![
        (proptest::option::of(namespace()), selector()).prop_map(|(namespace, selector)| Peer::Services {
            namespace: namespace.map(|of| of.parse().unwrap()),
            selector,
        }),
        proptest::sample::select(vec!["web.shop", "batch", "gone"]).prop_map(|of| Peer::Service(name(of))),
        (0..blocks.len(), 0..blocks.len(), any::<bool>()).prop_map(move |(of, but, some)| Peer::Addresses {
            block: block(blocks[of]),
            except: Vec::from_iter(some.then(|| block(blocks[but]))),
        }),
    ]
}

fn policy_port() -> impl Strategy<Value = PolicyPort> {
    let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
    let numbers = prop_oneof![
        Just(Numbers::All),
        Just(Numbers::Name("http".into())),
        Just(Numbers::Range(number(53), number(53))),
        Just(Numbers::Range(number(60), number(100))),
    ];
    (protocol, numbers).prop_map(|(protocol, numbers)| PolicyPort { protocol, numbers })
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let rule = (
        proptest::collection::vec(peer(), 0..3),
        proptest::collection::vec(policy_port(), 0..3),
    );
    let rule = rule.prop_map(|(from, ports)| IngressRule { from, ports });
    let parts = (namespace(), selector(), proptest::collection::vec(rule, 0..3));
    parts.prop_map(|(namespace, selector, ingress)| NetworkPolicy {
        name: name(&format!("p.{namespace}")),
        selector,
        ingress,
    })
}

proptest! {
    #[test]
    fn what_passes_is_what_policies_accept(policies in proptest::collection::vec(policy(), 1..4)) {
        let services = services();
        let ruleset = ruleset(&services, &cluster(policies.clone()), &host()).unwrap();
        let containers = services.values().map(|of| (of.network.members[0].address.unwrap(), Some(&**of)));
        let others = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 200), Ipv4Addr::new(10, 88, 0, 200)];
        let senders: Vec<_> = containers.chain(others.map(|address| (address, None))).collect();
        for (from, sender) in senders {
            for to in services.values() {
                let accepts = |protocol, port: &str, number| accepts(&policies, to, (protocol, port, number), from, sender);
                for port in [(Protocol::Tcp, "http", 80), (Protocol::Udp, "", 53)] {
                    let accepted = accepts(port.0, port.1, port.2);
                    let [here, there] = [0, 1].map(|nth| &to.network.members[nth]);
                    let at = |member: &Member| {
                        let of = member.ports.iter().find(|of| of.protocol == port.0).unwrap();
                        of.host_number.get()
                    };
                    prop_assert_eq!(ruleset.passes(from, HERE, port.0, at(here)), accepted, "{} here", to.name);
                    prop_assert_eq!(ruleset.passes(from, THERE, port.0, at(there)), accepted, "{} there", to.name);
                    let own = here.address.unwrap();
                    prop_assert_eq!(ruleset.passes(from, own, port.0, port.2), accepted, "{} itself", to.name);
                }
                let own = to.network.members[0].address.unwrap();
                let other = accepts(Protocol::Tcp, "", 99);
                prop_assert_eq!(ruleset.passes(from, own, Protocol::Tcp, 99), other, "{}, port 99", to.name);
                // A name is reached by those who may reach all that is behind it.
                let mut behind = to.network.doors.iter().map(|door| &services[&door.service]);
                let all = behind.all(|of| self::accepts(&policies, of, (Protocol::Tcp, "http", 80), from, sender));
                let address = to.virtual_address.unwrap();
                let published = to.ports[0].published.unwrap().get();
                prop_assert_eq!(ruleset.passes(from, address, Protocol::Tcp, 8080), all, "{} by name", to.name);
                for host in [HERE, THERE] {
                    prop_assert_eq!(ruleset.passes(from, host, Protocol::Tcp, published), all, "{} at {}", to.name, host);
                }
            }
            prop_assert!(ruleset.passes(from, HERE, Protocol::Tcp, 22));
            prop_assert!(ruleset.passes(from, Ipv4Addr::new(192, 0, 2, 9), Protocol::Tcp, 443));
        }
        prop_assert!(ruleset.passes(THERE, HERE, Protocol::Tcp, 31_011));
    }
}

#[test]
fn without_a_policy_there_are_no_rules() {
    assert_eq!(ruleset(&services(), &cluster(Vec::new()), &host()), None);
}

#[test]
fn the_rules_as_nft_takes_them() {
    let deny = NetworkPolicy {
        name: name("deny.shop"),
        selector: Labels::new(),
        ingress: Vec::new(),
    };
    let web = NetworkPolicy {
        name: name("web.shop"),
        selector: labels(&[("app", "web")]),
        ingress: vec![IngressRule {
            from: vec![
                Peer::Service(name("batch")),
                Peer::Addresses {
                    block: "192.0.2.0/24".parse().unwrap(),
                    except: vec!["192.0.2.128/25".parse().unwrap()],
                },
            ],
            ports: vec![PolicyPort {
                protocol: Protocol::Tcp,
                numbers: Numbers::Name("http".into()),
            }],
        }],
    };
    let ruleset = ruleset(&services(), &cluster(vec![deny, web]), &host()).unwrap();
    expect![[r#"
        add table inet proffer_policy
        delete table inet proffer_policy
        table inet proffer_policy {
            set hosts4 {
                type ipv4_addr
                elements = { 10.0.0.1, 10.0.0.2 }
            }
            set hosts6 {
                type ipv6_addr
            }
            set s0 {
                type ipv4_addr
                flags interval
                elements = { 10.88.0.13, 192.0.2.0-192.0.2.127 }
            }
            chain c0 {
                ip saddr @s0 accept
                drop
            }
            chain c1 {
                drop
            }
            chain c2 {
                meta l4proto tcp th dport 80 ip saddr @s0 accept
                drop
            }
            map addresses {
                type ipv4_addr . inet_proto . inet_service : verdict
                elements = { 10.0.0.2 . tcp . 9001 : goto c0, 10.0.0.2 . tcp . 9002 : goto c1, 10.0.0.2 . tcp . 31021 : goto c0, 10.0.0.2 . tcp . 31022 : goto c1, 10.0.0.2 . udp . 31021 : goto c1, 10.0.0.2 . udp . 31022 : goto c1, 10.213.0.1 . tcp . 8080 : goto c0, 10.213.0.2 . tcp . 8080 : goto c1 }
            }
            map local {
                type inet_proto . inet_service : verdict
                elements = { tcp . 9001 : goto c0, tcp . 9002 : goto c1, tcp . 31011 : goto c0, tcp . 31012 : goto c1, udp . 31011 : goto c1, udp . 31012 : goto c1 }
            }
            map containers {
                type ipv4_addr : verdict
                elements = { 10.88.0.11 : goto c2, 10.88.0.12 : goto c1 }
            }
            chain prerouting {
                type filter hook prerouting priority -150; policy accept;
                iif lo accept
                ct state established,related accept
                ip saddr @hosts4 accept
                ip6 saddr @hosts6 accept
                ip daddr . meta l4proto . th dport vmap @addresses
                fib daddr type local meta l4proto . th dport vmap @local
                ip daddr vmap @containers
            }
        }
        add table bridge proffer_policy
        delete table bridge proffer_policy
        table bridge proffer_policy {
            map routers {
                type ipv4_addr : ether_addr
                elements = { 10.88.0.11 : 02:50:0a:58:00:01, 10.88.0.12 : 02:50:0a:58:00:01 }
            }
            set guarded {
                type ether_addr
                elements = { 02:50:0a:58:00:0b, 02:50:0a:58:00:0c }
            }
            chain prerouting {
                type filter hook prerouting priority -300; policy accept;
                meta pkttype other ether daddr set ip daddr map @routers meta pkttype set host
                meta pkttype other ether daddr set ip saddr map @routers meta pkttype set host
                ether daddr @guarded ether type != { ip, arp } drop
            }
        }
    "#]].assert_eq(&(ruleset.inet() + &ruleset.bridge()));
}
