//! Network policies: what they select, whom they let in, and where they are not enforced.

use std::collections::BTreeMap;

use proffer_wire::v1;
use proffer_wire::v1::{policy_peer, policy_port};
use serde::Serialize;

use crate::output::{Answer, Column, Row, left, render};

/// All of them.
#[derive(Debug, Serialize)]
pub(crate) struct PoliciesView {
    policies: Vec<PolicyView>,
    /// Where they are not enforced, and why.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PolicyView {
    name: String,
    /// Labels; none selects all services of the namespace.
    selector: BTreeMap<String, String>,
    /// What is accepted; without a rule nothing.
    ingress: Vec<RuleView>,
    /// Those it selects.
    services: Vec<String>,
}

#[derive(Debug, Serialize)]
struct RuleView {
    /// None means everybody.
    from: Vec<String>,
    /// None means every port.
    ports: Vec<String>,
}

impl From<v1::ListNetworkPoliciesResponse> for PoliciesView {
    fn from(answer: v1::ListNetworkPoliciesResponse) -> Self {
        Self {
            policies: answer.policies.into_iter().map(PolicyView::from).collect(),
            problems: answer.problems,
        }
    }
}

impl From<v1::NetworkPolicyView> for PolicyView {
    fn from(view: v1::NetworkPolicyView) -> Self {
        let spec = view.spec.unwrap_or_default();
        let rule = |rule: v1::IngressRule| RuleView {
            from: rule.from.iter().map(peer_text).collect(),
            ports: rule.ports.iter().map(port_text).collect(),
        };
        Self {
            name: spec.name,
            selector: spec.selector,
            ingress: spec.ingress.into_iter().map(rule).collect(),
            services: view.services,
        }
    }
}

/// `app=web`, or a word for none.
fn labels(of: &BTreeMap<String, String>, none: &str) -> String {
    let pairs: Vec<_> = of.iter().map(|(key, value)| format!("{key}={value}")).collect();
    match pairs.is_empty() {
        true => none.to_owned(),
        false => pairs.join(","),
    }
}

fn peer_text(peer: &v1::PolicyPeer) -> String {
    match &peer.peer {
        Some(policy_peer::Peer::Services(of)) => {
            format!("{} in {}", labels(&of.selector, "all services"), of.namespace)
        }
        Some(policy_peer::Peer::Service(of)) => of.clone(),
        Some(policy_peer::Peer::Addresses(of)) if of.except.is_empty() => of.cidr.clone(),
        Some(policy_peer::Peer::Addresses(of)) => format!("{} without {}", of.cidr, of.except.join(",")),
        None => String::new(),
    }
}

/// As in a policy file.
fn port_text(port: &v1::PolicyPort) -> String {
    let protocol = match port.protocol() {
        v1::PortProtocol::PortUdp => "udp",
        v1::PortProtocol::Unspecified | v1::PortProtocol::PortTcp | v1::PortProtocol::PortHttp => "tcp",
    };
    match &port.port {
        None => protocol.to_owned(),
        Some(policy_port::Port::Name(name)) => format!("{name}/{protocol}"),
        Some(policy_port::Port::Number(number)) if port.last == 0 => format!("{number}/{protocol}"),
        Some(policy_port::Port::Number(number)) => format!("{number}-{}/{protocol}", port.last),
    }
}

impl Answer for PoliciesView {
    fn text(&self, width: usize) -> String {
        let problems = self.problems.iter().map(|problem| format!("- {problem}\n"));
        let rows: Vec<_> = self.policies.iter().map(Row::cells).collect();
        problems.collect::<String>() + &render(PolicyView::COLUMNS, &rows, width)
    }
}

impl Row for PolicyView {
    const COLUMNS: &'static [Column] = &[left("POLICY"), left("SELECTS"), left("ACCEPTS"), left("SERVICES")];

    fn cells(&self) -> Vec<String> {
        let list = |of: &[String], none: &str| match of.is_empty() {
            true => none.to_owned(),
            false => of.join(" or "),
        };
        let rules = self.ingress.iter().map(|rule| {
            let (from, ports) = (list(&rule.from, "everybody"), list(&rule.ports, "every port"));
            format!("{from} at {ports}")
        });
        let rules: Vec<_> = rules.collect();
        vec![
            self.name.clone(),
            labels(&self.selector, "all"),
            if rules.is_empty() {
                "nothing".to_owned()
            } else {
                rules.join("; ")
            },
            self.services.join(" "),
        ]
    }
}
