//! Network policy files: who may reach services.

use std::collections::BTreeMap;
use std::str::FromStr;

use proffer_wire::v1;
use proffer_wire::v1::{policy_peer, policy_port};
use serde::Deserialize;

use super::either::from_text;
use super::service::full_name;

/// A policy file. What makes it one is that it has `policy` where a service has `name`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyFile {
    policy: String,
    /// Where it is not part of the name.
    namespace: Option<String>,
    /// The labels of the services it is about; all of the namespace, where there are none.
    #[serde(default)]
    selector: BTreeMap<String, String>,
    /// What they accept; nothing, where there is no rule.
    #[serde(default)]
    ingress: Vec<RuleFile>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    /// Everybody, where it is absent.
    #[serde(default)]
    from: Vec<PeerFile>,
    /// Every port, where it is absent.
    #[serde(default)]
    ports: Vec<PortFile>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "PeerFields")]
struct PeerFile(policy_peer::Peer);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerFields {
    service: Option<String>,
    services: Option<BTreeMap<String, String>>,
    namespace: Option<String>,
    addresses: Option<String>,
    except: Option<Vec<String>>,
}

impl TryFrom<PeerFields> for PeerFile {
    type Error = String;

    fn try_from(peer: PeerFields) -> Result<Self, String> {
        if peer.except.is_some() && peer.addresses.is_none() {
            return Err("`except` stands beside `addresses`".to_owned());
        }
        let is_by_labels = peer.services.is_some() || peer.namespace.is_some();
        match (peer.service, is_by_labels, peer.addresses) {
            (Some(service), false, None) => Ok(Self(policy_peer::Peer::Service(service))),
            (None, true, None) => Ok(Self(policy_peer::Peer::Services(v1::ServicePeers {
                namespace: peer.namespace.unwrap_or_default(),
                selector: peer.services.unwrap_or_default(),
            }))),
            (None, false, Some(cidr)) => Ok(Self(policy_peer::Peer::Addresses(v1::AddressBlock {
                cidr,
                except: peer.except.unwrap_or_default(),
            }))),
            (..) => Err(
                "expected one of `service` (a name), `services` (labels) with or without `namespace`, and `addresses`"
                    .to_owned(),
            ),
        }
    }
}

/// `80`, `http`, `53/udp`, `8000-8100`, or `udp` for all ports of it.
#[derive(Debug, Clone, PartialEq)]
struct PortFile(v1::PolicyPort);

impl FromStr for PortFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let protocol = |text: &str| match text {
            "tcp" => Some(v1::PortProtocol::PortTcp),
            "udp" => Some(v1::PortProtocol::PortUdp),
            _ => None,
        };
        let (port, protocol) = match (text.split_once('/'), protocol(text)) {
            (None, Some(protocol)) => ("", protocol),
            (None, None) => (text, v1::PortProtocol::PortTcp),
            (Some((port, of)), _) => {
                let of = protocol(of).ok_or_else(|| format!("`{of}` is neither tcp nor udp"))?;
                (port, of)
            }
        };
        let range = port.split_once('-').and_then(|(first, last)| {
            let last: u32 = last.parse().ok()?;
            Some((first.parse::<u32>().ok()?, last))
        });
        let (port, last) = match (range, port.parse::<u32>()) {
            (Some((first, last)), _) => (Some(policy_port::Port::Number(first)), last),
            (None, Ok(number)) => (Some(policy_port::Port::Number(number)), 0),
            (None, Err(_)) if port.is_empty() => (None, 0),
            (None, Err(_)) => (Some(policy_port::Port::Name(port.to_owned())), 0),
        };
        let protocol = protocol.into();
        Ok(Self(v1::PolicyPort { protocol, port, last }))
    }
}

from_text!(PortFile);

impl PolicyFile {
    /// Whether a file is of a policy.
    pub(crate) fn is(text: &str) -> bool {
        text.lines().any(|line| line.starts_with("policy:"))
    }
}

impl From<PolicyFile> for v1::NetworkPolicy {
    fn from(file: PolicyFile) -> Self {
        let rule = |rule: RuleFile| v1::IngressRule {
            from: rule
                .from
                .into_iter()
                .map(|PeerFile(peer)| v1::PolicyPeer { peer: Some(peer) })
                .collect(),
            ports: rule.ports.into_iter().map(|PortFile(port)| port).collect(),
        };
        Self {
            name: full_name(file.policy, file.namespace.as_deref()),
            selector: file.selector,
            ingress: file.ingress.into_iter().map(rule).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proffer_types::policy::NetworkPolicy;

    use super::super::parse;
    use super::*;
    use crate::difference::{Difference, differences};

    fn shown(text: &str) -> String {
        let file = match parse::<PolicyFile>("p.yaml", text) {
            Ok(file) => v1::NetworkPolicy::from(file),
            Err(error) => return error.to_string(),
        };
        if let Err(error) = NetworkPolicy::try_from(file.clone()) {
            return format!("refused: {error}");
        }
        let fields = differences("NetworkPolicy", None, &file).unwrap();
        fields.iter().map(Difference::text).collect()
    }

    #[test]
    fn a_policy_file_says_who_may_reach_what() {
        expect![[r#"
            + ingress[0].from[0].services.selector.app: web
            + ingress[0].from[1].services.namespace: *
            + ingress[0].from[2].service: batch
            + ingress[0].from[3].addresses.cidr: 192.0.2.0/24
            + ingress[0].from[3].addresses.except: ["192.0.2.128/25"]
            + ingress[0].ports[0].number: 5432
            + ingress[0].ports[0].protocol: PORT_TCP
            + ingress[0].ports[1].name: http
            + ingress[0].ports[1].protocol: PORT_TCP
            + ingress[0].ports[2].number: 53
            + ingress[0].ports[2].protocol: PORT_UDP
            + ingress[0].ports[3].last: 8100
            + ingress[0].ports[3].number: 8000
            + ingress[0].ports[3].protocol: PORT_TCP
            + ingress[0].ports[4].protocol: PORT_UDP
            + name: db.shop
            + selector.app: db
        "#]]
        .assert_eq(&shown(
            "policy: db
namespace: shop
selector: { app: db }
ingress:
  - from:
      - services: { app: web }
      - namespace: '*'
      - service: batch
      - { addresses: 192.0.2.0/24, except: [192.0.2.128/25] }
    ports: [5432, http, 53/udp, 8000-8100, udp]
  - {}
",
        ));
        expect![[r#"
            + name: deny
        "#]]
        .assert_eq(&shown("policy: deny\n"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let peers = [
            "{}",
            "{ service: a, addresses: 10.0.0.0/8 }",
            "{ service: a, except: [] }",
            "{ addresses: 10.0.0.1/8 }",
            "{ addresses: '::/0' }",
            "{ addresses: 10.0.0.0/8, except: [11.0.0.0/16] }",
            "{ pod: a }",
        ];
        let peers = peers.map(|peer| format!("policy: a\ningress: [{{ from: [{peer}] }}]\n"));
        let ports = ["0", "70000", "80/sctp", "90-80", "http-2"];
        let ports = ports.map(|port| format!("policy: a\ningress: [{{ ports: [{port}] }}]\n"));
        let names = ["policy: A\n", "policy: a.b.c\n", "policy: a\negress: []\n"].map(ToOwned::to_owned);
        let all: Vec<_> = peers
            .iter()
            .chain(&ports)
            .chain(&names)
            .map(|text| shown(text))
            .collect();
        expect![[r#"
            p.yaml:2:20: ingress[0].from[0]: expected one of `service` (a name), `services` (labels) with or without `namespace`, and `addresses`
            p.yaml:2:20: ingress[0].from[0]: expected one of `service` (a name), `services` (labels) with or without `namespace`, and `addresses`
            p.yaml:2:20: ingress[0].from[0]: `except` stands beside `addresses`
            refused: ingress[0].from[0].addresses.cidr: `10.0.0.1/8` is not a block of IPv4 addresses like 10.0.0.0/8, with no bit set after the prefix
            refused: ingress[0].from[0].addresses.cidr: `::/0` is not a block of IPv4 addresses like 10.0.0.0/8, with no bit set after the prefix
            refused: ingress[0].from[0].addresses.except: 11.0.0.0/16 is not within 10.0.0.0/8
            p.yaml:2:22: ingress[0].from[0].pod: unknown field `pod`, expected one of service, services, namespace, addresses, except
            refused: ingress[0].ports[0].number: 0 is not 1 to 65535
            refused: ingress[0].ports[0].number: 70000 is not 1 to 65535
            p.yaml:2:21: ingress[0].ports[0]: `sctp` is neither tcp nor udp
            refused: ingress[0].ports[0].last: 80 is below 90
            + ingress[0].ports[0].name: http-2
            + ingress[0].ports[0].protocol: PORT_TCP
            + name: a

            refused: name: is not in lower case
            refused: name: `b.c` is not 1 to 63 letters, digits, `-` and `_`, the first a letter or digit
            p.yaml:2:1: egress: unknown field `egress`, expected one of policy, namespace, selector, ingress"#]].assert_eq(&all.join("\n"));
    }
}
