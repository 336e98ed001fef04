//! NetworkPolicies.

use super::*;

fn policy(spec: &str) -> String {
    let text = format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{ name: db, namespace: shop }}\nspec:\n{spec}"
    );
    outcome(&[source("a.yaml", &text)], None)
}

#[test]
fn a_network_policy_becomes_a_policy() {
    expect![[r#"
        policy db.shop
        + ingress[0].from[0].services.selector.app: web
        + ingress[0].from[1].services.namespace: ops
        + ingress[0].from[2].services.namespace: *
        + ingress[0].from[2].services.selector.app: probe
        + ingress[0].from[3].addresses.cidr: 192.0.2.0/24
        + ingress[0].from[3].addresses.except: ["192.0.2.128/25"]
        + ingress[0].ports[0].number: 5432
        + ingress[0].ports[0].protocol: PORT_TCP
        + ingress[0].ports[1].name: http
        + ingress[0].ports[1].protocol: PORT_TCP
        + ingress[0].ports[2].protocol: PORT_UDP
        + ingress[0].ports[3].last: 8100
        + ingress[0].ports[3].number: 8000
        + ingress[0].ports[3].protocol: PORT_TCP
        + name: db.shop
        + selector.app: db
    "#]]
    .assert_eq(&policy(
        "  podSelector: { matchLabels: { app: db } }
  policyTypes: [Ingress]
  ingress:
  - from:
    - podSelector: { matchLabels: { app: web } }
    - namespaceSelector: { matchLabels: { kubernetes.io/metadata.name: ops } }
    - namespaceSelector: {}
      podSelector: { matchLabels: { app: probe } }
    - ipBlock: { cidr: 192.0.2.0/24, except: [192.0.2.128/25] }
    ports:
    - { port: 5432 }
    - { port: http, protocol: TCP }
    - { protocol: UDP }
    - { port: 8000, endPort: 8100 }
  - {}
",
    ));
}

#[test]
fn an_empty_one_denies_everything() {
    expect![[r#"
        policy db.shop
        + name: db.shop
    "#]]
    .assert_eq(&policy("  podSelector: {}\n  policyTypes: [Ingress]\n"));
}

#[test]
fn what_has_no_counterpart_is_refused_with_its_place() {
    let specs = [
        "  policyTypes: [Ingress]\n",
        "  podSelector: {}\n  policyTypes: [Ingress, Egress]\n",
        "  podSelector: {}\n  egress: [{}]\n",
        "  podSelector: { matchExpressions: [{ key: a, operator: Exists }] }\n",
        "  podSelector: {}\n  ingress: [{ from: [{}] }]\n",
        "  podSelector: {}\n  ingress: [{ from: [{ ipBlock: { cidr: '::/0' } }] }]\n",
        "  podSelector: {}\n  ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8, except: [11.0.0.0/8] } }] }]\n",
        "  podSelector: {}\n  ingress: [{ from: [{ ipBlock: { cidr: 10.0.0.0/8 }, podSelector: {} }] }]\n",
        "  podSelector: {}\n  ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: a } } }] }]\n",
        "  podSelector: {}\n  ingress: [{ ports: [{ port: 90, endPort: 80 }] }]\n",
        "  podSelector: {}\n  ingress: [{ ports: [{ endPort: 80 }] }]\n",
        "  podSelector: {}\n  ingress: [{ ports: [{ port: 80, protocol: SCTP }] }]\n",
        "  podSelector: {}\n  ingress: [{ to: [] }]\n",
    ];
    let all: Vec<_> = specs.iter().map(|spec| policy(spec)).collect();
    expect![[r#"
        a.yaml:5:3: spec: missing field `podSelector`
        a.yaml:6:26: spec.policyTypes[1]: what services send is not policed; only Ingress is taken
        a.yaml:6:11: spec.egress: what services send is not policed; only ingress is taken
        a.yaml:5:36: spec.podSelector.matchExpressions: is not supported; only matchLabels are
        a.yaml:6:22: spec.ingress[0].from[0]: expected one of podSelector, namespaceSelector and ipBlock
        a.yaml:6:41: spec.ingress[0].from[0].ipBlock.cidr: `::/0` is not a block of IPv4 addresses like 10.0.0.0/8, with no bit set after the prefix
        a.yaml:6:62: spec.ingress[0].from[0].ipBlock.except[0]: 11.0.0.0/8 is not within 10.0.0.0/8
        a.yaml:6:22: spec.ingress[0].from[0]: ipBlock stands alone
        a.yaml:6:66: spec.ingress[0].from[0].namespaceSelector.matchLabels.team: a namespace has no label but kubernetes.io/metadata.name, its name
        a.yaml:6:44: spec.ingress[0].ports[0].endPort: expected a whole number from 90 to 65535, found `80`
        a.yaml:6:34: spec.ingress[0].ports[0].endPort: stands beside a number in `port`
        a.yaml:6:45: spec.ingress[0].ports[0].protocol: expected TCP or UDP
        a.yaml:6:15: spec.ingress[0].to: unknown field, or one that is not supported; supported are from, ports"#]].assert_eq(&all.join("\n"));
}
