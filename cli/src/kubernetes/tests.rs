//! Whole manifests, and what comes of them.

mod configs;
mod hostile;
mod kinds;
mod policies;
mod refused;

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::*;
use crate::difference::{Difference, differences};

fn source(file: &str, text: &str) -> Source {
    let (file, text) = (file.to_owned(), text.to_owned());
    Source { file, text }
}

/// What comes of some files, or the error with its place.
fn outcome(files: &[Source], namespace: Option<&str>) -> String {
    let manifests = match read(files, namespace) {
        Ok(manifests) => manifests,
        Err(error) => return error.to_string(),
    };
    let mut text = String::new();
    for warning in manifests.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for object in manifests.objects {
        let _ = writeln!(text, "{}", object.title());
        if let Some(spec) = object.spec() {
            let fields = differences("ServiceSpec", None, spec).unwrap();
            text.extend(fields.iter().map(Difference::text));
        }
        match object {
            Object::VirtualService(service) => text.push_str(&shown(&service)),
            Object::Policy(policy) => {
                let fields = differences("NetworkPolicy", None, &policy).unwrap();
                text.extend(fields.iter().map(Difference::text));
            }
            Object::Config(config) => {
                for (key, value) in &config.entries {
                    let _ = writeln!(text, "+ {key}: {}", value.escape_ascii());
                }
            }
            Object::Service(_) | Object::Workload(..) | Object::LimitRange(_) => {}
        }
    }
    text
}

fn shown(service: &v1::VirtualService) -> String {
    let fields = differences("VirtualService", None, service).unwrap();
    fields.iter().map(Difference::text).collect()
}

fn check(text: &str, expected: Expect) {
    expected.assert_eq(&outcome(&[source("a.yaml", text)], None));
}

/// A Deployment of one container with some more fields in it, each line of them indented as in the container.
fn deployment_with(container: &str) -> String {
    let indented: String = container
        .lines()
        .map(|line| format!("        {line}\n"))
        .collect();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{ name: web }}\nspec:\n  selector: {{ matchLabels: {{ app: web }} }}\n  template:\n    metadata: {{ labels: {{ app: web }} }}\n    spec:\n      containers:\n      - name: web\n        image: nginx:1.27\n{indented}"
    )
}

fn file(name: &str, text: &str) -> Source {
    source(name, text)
}

macro_rules! manifest {
    ($name:literal) => {
        file($name, include_str!(concat!("../../../tests/manifests/", $name)))
    };
}

#[test]
fn a_deployment_with_a_limit_range_and_a_load_balancer() {
    let files = [
        manifest!("000-web-app-deployment.yaml"),
        manifest!("000-web-app-limit-range-limitrange.yaml"),
        manifest!("000-web-app-service.yaml"),
    ];
    expect![[r#"
        limitrange web-app-limit-range.a
        service web-app.a
        + name: web-app.a
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_TCP
        + ports[0].port.published: 80
        + ports[0].target_number: 80
        + selector.app: web-app
        deployment web-app.a
        + labels.app: web-app
        + name: web-app.a
        + replicas: 2
        + task.container.image.pull: PULL_ALWAYS
        + task.container.image.reference: web-app:latest
        + task.container.network.mode: NETWORK_BRIDGE
        + task.container.network.ports[0].container_port: 80
        + task.kill_policy.grace_period_ms: 30000
        + task.limits.cpus: 0.25
        + task.limits.mem: 268435456.0
        + task.resources.items[0].name: cpus
        + task.resources.items[0].scalar: 0.1
        + task.resources.items[1].name: mem
        + task.resources.items[1].scalar: 134217728.0
        + update.deadline_ms: 600000
        + update.max_surge.percent: 25
        + update.max_unavailable.percent: 25
        + update.min_healthy_ms: 0
    "#]]
    .assert_eq(&outcome(&files, Some("a")));
}

#[test]
fn a_deployment_without_requests_and_a_load_balancer() {
    let files = [
        manifest!("002-nginx-deployment-deployment.yaml"),
        manifest!("002-nginx-service-service.yaml"),
    ];
    expect![[r#"
        service nginx-service.b
        + name: nginx-service.b
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_TCP
        + ports[0].port.published: 80
        + ports[0].target_number: 80
        + selector.app: nginx
        deployment nginx-deployment.b
        + labels.app: nginx
        + name: nginx-deployment.b
        + replicas: 2
        + task.container.image.pull: PULL_ALWAYS
        + task.container.image.reference: nginx
        + task.container.network.mode: NETWORK_BRIDGE
        + task.container.network.ports[0].container_port: 80
        + task.kill_policy.grace_period_ms: 30000
        + task.limits.cpus: Infinity
        + task.limits.mem: Infinity
        + task.resources.items[0].name: cpus
        + task.resources.items[0].scalar: 0.1
        + task.resources.items[1].name: mem
        + task.resources.items[1].scalar: 134217728.0
        + update.deadline_ms: 600000
        + update.max_surge.percent: 25
        + update.max_unavailable.percent: 25
        + update.min_healthy_ms: 0
    "#]]
    .assert_eq(&outcome(&files, Some("b")));
}

#[test]
fn a_service_with_an_endpoints_that_follows_no_schema() {
    let files = [
        manifest!("004-my-app-deployment.yaml"),
        manifest!("004-my-service-endpoints.yaml"),
        manifest!("004-my-service-service.yaml"),
    ];
    expect![[r#"
        warning: 004-my-service-endpoints.yaml:1:13: apiVersion: an Endpoints is of v1 in Kubernetes
        warning: 004-my-service-endpoints.yaml:6:3: spec: an Endpoints has no `spec` in Kubernetes, but `subsets`; its addresses are taken as static ones
        service my-service.c
        + endpoints[0].address: 192.168.1.1
        + endpoints[0].ports[0].number: 80
        + name: my-service.c
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 8080
        + selector.app: my-app
        deployment my-app.c
        + labels.app: my-app
        + name: my-app.c
        + replicas: 3
        + task.container.image.pull: PULL_ALWAYS
        + task.container.image.reference: my-image
        + task.container.network.mode: NETWORK_BRIDGE
        + task.container.network.ports[0].container_port: 8080
        + task.kill_policy.grace_period_ms: 30000
        + task.limits.cpus: Infinity
        + task.limits.mem: Infinity
        + task.resources.items[0].name: cpus
        + task.resources.items[0].scalar: 0.1
        + task.resources.items[1].name: mem
        + task.resources.items[1].scalar: 134217728.0
        + update.deadline_ms: 600000
        + update.max_surge.percent: 25
        + update.max_unavailable.percent: 25
        + update.min_healthy_ms: 0
    "#]].assert_eq(&outcome(&files, Some("c")));
}

#[test]
fn files_and_documents_of_one_file_are_the_same() {
    let files = [
        manifest!("002-nginx-deployment-deployment.yaml"),
        manifest!("002-nginx-service-service.yaml"),
    ];
    let joined = format!("---\n{}---\n---\n{}", files[0].text, files[1].text);
    let joined = source("all.yaml", &joined);
    assert_eq!(outcome(&[joined], None), outcome(&files, None));
}

#[test]
fn a_list_is_what_it_holds_and_json_is_read() {
    let pod = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "creationTimestamp": null},
        "spec": {"containers": [{"name": "a", "image": "busybox:1.36", "resources": {}}]}, "status": {}}"#;
    let list = format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [{pod}]}}");
    let read_one = |text: &str| read(&[source("a.json", text)], None).unwrap();
    let (one, listed) = (read_one(pod), read_one(&list));
    assert_eq!(one.objects.len(), 1);
    assert_eq!(one, listed);
}

#[test]
fn a_service_file_is_no_manifest() {
    assert!(is_manifest("apiVersion: v1\nkind: Pod\n"));
    assert!(is_manifest("kind: Pod\n"));
    assert!(is_manifest("# x\n---\napiVersion: v1\nkind: [\n"));
    assert!(!is_manifest("name: web\ntask: { image: nginx }\n"));
    assert!(!is_manifest(
        "name: web\ntask: { env: { kind: a, apiVersion: b } }\n"
    ));
    assert!(!is_manifest(""));
    assert!(!is_manifest("[kind]"));
}
