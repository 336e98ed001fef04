//! What each kind and field becomes.

use super::*;

#[test]
fn a_container_with_all_that_is_taken() {
    let text = deployment_with(
        r#"imagePullPolicy: Never
command: [/bin/server]
args: ["--name=$(NAME)", "$$(NAME)"]
workingDir: /srv
tty: true
env:
- { name: NAME, value: a }
- { name: URL, value: "http://$(NAME):80" }
ports:
- { containerPort: 80, name: http }
- { containerPort: 53, protocol: UDP, hostPort: 5353 }
livenessProbe: { httpGet: { path: /healthz, port: http }, initialDelaySeconds: 3 }
startupProbe: { httpGet: { path: /healthz, port: http }, periodSeconds: 2, failureThreshold: 30 }
readinessProbe: { tcpSocket: { port: 80 }, periodSeconds: 1, timeoutSeconds: 2, failureThreshold: 1 }
resources:
  requests: { cpu: 100m, memory: 64Mi, ephemeral-storage: 1G }
  limits: { cpu: "1" }
securityContext:
  runAsUser: 1000
  runAsGroup: 1000
  runAsNonRoot: true
  readOnlyRootFilesystem: true
  allowPrivilegeEscalation: false
  capabilities: { add: [NET_BIND_SERVICE], drop: [ALL] }
  seccompProfile: { type: RuntimeDefault }
volumeMounts:
- { name: data, mountPath: /data }
- { name: cache, mountPath: /cache }
- { name: host, mountPath: /host, readOnly: true, mountPropagation: HostToContainer }"#,
    ) + "      volumes:\n      - { name: data, emptyDir: {} }\n      - { name: cache, emptyDir: { medium: Memory, sizeLimit: 16Mi } }\n      - { name: host, hostPath: { path: /srv/x, type: Directory } }\n      nodeSelector: { disk: ssd, kubernetes.io/os: linux, topology.kubernetes.io/zone: eu-1 }\n      terminationGracePeriodSeconds: 5\n      hostAliases: [{ ip: 10.0.0.3, hostnames: [db, db.local] }]\n      dnsPolicy: ClusterFirst\n      restartPolicy: Always\n";
    check(
        &text,
        expect![[r#"
            deployment web
            + labels.app: web
            + name: web
            + replicas: 1
            + task.container.arguments: ["--name=a","$(NAME)"]
            + task.container.command: ["/bin/server"]
            + task.container.env.NAME: a
            + task.container.env.URL: http://a:80
            + task.container.health.failures: 3
            + task.container.health.grace_ms: 60000
            + task.container.health.http.path: /healthz
            + task.container.health.http.port.name: http
            + task.container.health.interval_ms: 10000
            + task.container.health.timeout_ms: 1000
            + task.container.image.pull: PULL_NEVER
            + task.container.image.reference: nginx:1.27
            + task.container.network.hosts[0].address: 10.0.0.3
            + task.container.network.hosts[0].name: db
            + task.container.network.hosts[1].address: 10.0.0.3
            + task.container.network.hosts[1].name: db.local
            + task.container.network.mode: NETWORK_BRIDGE
            + task.container.network.ports[0].container_port: 80
            + task.container.network.ports[0].name: http
            + task.container.network.ports[1].container_port: 53
            + task.container.network.ports[1].host_port: 5353
            + task.container.network.ports[1].protocol: PROTOCOL_UDP
            + task.container.readiness.failures: 1
            + task.container.readiness.interval_ms: 1000
            + task.container.readiness.tcp.port.number: 80
            + task.container.readiness.timeout_ms: 2000
            + task.container.security.add_capabilities: ["NET_BIND_SERVICE"]
            + task.container.security.drop_capabilities: ["CHOWN","DAC_OVERRIDE","FOWNER","FSETID","KILL","SETGID","SETUID","SETPCAP","NET_RAW","SYS_CHROOT","AUDIT_WRITE","SETFCAP"]
            + task.container.security.read_only_root: true
            + task.container.tty: true
            + task.container.user: 1000:1000
            + task.container.volumes[0].container_path: /data
            + task.container.volumes[0].sandbox.path: volumes/data
            + task.container.volumes[1].container_path: /cache
            + task.container.volumes[1].tmpfs.size: 16777216
            + task.container.volumes[2].container_path: /host
            + task.container.volumes[2].host_path.path: /srv/x
            + task.container.volumes[2].host_path.propagation: PROPAGATION_HOST_TO_CONTAINER
            + task.container.volumes[2].read_only: true
            + task.container.working_directory: /srv
            + task.kill_policy.grace_period_ms: 5000
            + task.limits.cpus: 1.0
            + task.limits.mem: Infinity
            + task.resources.items[0].name: cpus
            + task.resources.items[0].scalar: 0.1
            + task.resources.items[1].name: mem
            + task.resources.items[1].scalar: 67108864.0
            + task.resources.items[2].name: disk
            + task.resources.items[2].scalar: 1000000000.0
            + task.rules.constraints.groups[0].constraints[0].attribute: disk
            + task.rules.constraints.groups[0].constraints[0].equals: ssd
            + task.rules.constraints.groups[0].constraints[1].equals: eu-1
            + task.rules.constraints.groups[0].constraints[1].field: AGENT_FIELD_ZONE
            + update.deadline_ms: 600000
            + update.max_surge.percent: 25
            + update.max_unavailable.percent: 25
            + update.min_healthy_ms: 0
        "#]],
    );
}

#[test]
fn other_probes() {
    let text = deployment_with(
        "livenessProbe: { exec: { command: [pg_isready] } }\nreadinessProbe: { grpc: { port: 50051, service: a.B } }",
    );
    check(
        &text,
        expect![[r#"
            deployment web
            + labels.app: web
            + name: web
            + replicas: 1
            + task.container.health.command.command: ["pg_isready"]
            + task.container.health.failures: 3
            + task.container.health.interval_ms: 10000
            + task.container.health.timeout_ms: 1000
            + task.container.image.reference: nginx:1.27
            + task.container.network.mode: NETWORK_BRIDGE
            + task.container.readiness.failures: 3
            + task.container.readiness.grpc.port.number: 50051
            + task.container.readiness.grpc.service: a.B
            + task.container.readiness.interval_ms: 10000
            + task.container.readiness.timeout_ms: 1000
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
        "#]],
    );
}

#[test]
fn strategies() {
    let with = |fields: &str| {
        let text = deployment_with("").replace("spec:\n  selector", &format!("spec:\n{fields}  selector"));
        let files = [source("a.yaml", &text)];
        match read(&files, None) {
            Ok(manifests) => {
                let Some(Object::Workload(_, spec)) = manifests.objects.first() else {
                    panic!("not a workload");
                };
                let update = spec.update.unwrap();
                let shown = format!("{} replicas, {update:?}\n", spec.replicas);
                let warnings: String = manifests
                    .warnings
                    .iter()
                    .map(|warning| format!("{warning}\n"))
                    .collect();
                shown + &warnings
            }
            Err(error) => error.to_string() + "\n",
        }
    };
    let all: String = [
        "",
        "  replicas: 0\n  strategy: {}\n",
        "  strategy: { type: Recreate }\n  minReadySeconds: 7\n",
        "  strategy: { rollingUpdate: { maxSurge: 2, maxUnavailable: 0 } }\n  progressDeadlineSeconds: 60\n",
        "  strategy: { type: RollingUpdate, rollingUpdate: { maxSurge: 100% } }\n  revisionHistoryLimit: 10\n",
        "  revisionHistoryLimit: 3\n",
        "  strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0% } }\n",
        "  strategy: { rollingUpdate: { maxSurge: 101% } }\n",
        "  strategy: { rollingUpdate: { maxSurge: some } }\n",
        "  strategy: { type: Sometimes }\n",
        "  strategy: { type: Recreate, rollingUpdate: { maxSurge: 1 } }\n",
        "  replicas: -1\n",
        "  replicas: \"2\"\n",
        "  paused: true\n",
    ]
    .map(with)
    .concat();
    expect![[r#"
        1 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Percent(25)) }), max_unavailable: Some(Amount { of: Some(Percent(25)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(0), deadline_ms: Some(600000), auto_rollback: None }
        0 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Percent(25)) }), max_unavailable: Some(Amount { of: Some(Percent(25)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(0), deadline_ms: Some(600000), auto_rollback: None }
        1 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Count(0)) }), max_unavailable: Some(Amount { of: Some(Percent(100)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(7000), deadline_ms: Some(600000), auto_rollback: None }
        1 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Count(2)) }), max_unavailable: Some(Amount { of: Some(Count(0)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(0), deadline_ms: Some(60000), auto_rollback: None }
        1 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Percent(100)) }), max_unavailable: Some(Amount { of: Some(Percent(25)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(0), deadline_ms: Some(600000), auto_rollback: None }
        1 replicas, UpdatePolicy { strategy: Unspecified, max_surge: Some(Amount { of: Some(Percent(25)) }), max_unavailable: Some(Amount { of: Some(Percent(25)) }), canary: 0, promote_by_hand: false, min_healthy_ms: Some(0), deadline_ms: Some(600000), auto_rollback: None }
        a.yaml:5:25: spec.revisionHistoryLimit: a service remembers 10 versions
        a.yaml:5:30: spec.strategy.rollingUpdate: maxSurge and maxUnavailable cannot both be 0
        a.yaml:5:42: spec.strategy.rollingUpdate.maxSurge: at most 100% is possible
        a.yaml:5:42: spec.strategy.rollingUpdate.maxSurge: `some` is neither a number of replicas nor a part of them like `25%`
        a.yaml:5:13: spec.strategy: expected the type RollingUpdate or Recreate
        a.yaml:5:46: spec.strategy.rollingUpdate: is not for the type Recreate
        a.yaml:5:13: spec.replicas: expected a whole number from 0 to 2147483647, found `-1`
        a.yaml:5:13: spec.replicas: expected a whole number from 0 to 2147483647, found the text `2`
        a.yaml:5:11: spec.paused: only false is taken; `proffer service pause` pauses a deployment
    "#]].assert_eq(&all);
}

#[test]
fn a_daemon_set_runs_on_each_agent() {
    let text = deployment_with("").replace("kind: Deployment", "kind: DaemonSet");
    check(
        &text,
        expect![[r#"
            daemonset web
            + labels.app: web
            + mode: SERVICE_MODE_DAEMON
            + name: web
            + task.container.image.reference: nginx:1.27
            + task.container.network.mode: NETWORK_BRIDGE
            + task.kill_policy.grace_period_ms: 30000
            + task.limits.cpus: Infinity
            + task.limits.mem: Infinity
            + task.resources.items[0].name: cpus
            + task.resources.items[0].scalar: 0.1
            + task.resources.items[1].name: mem
            + task.resources.items[1].scalar: 134217728.0
            + update.max_surge.count: 0
            + update.max_unavailable.count: 1
            + update.min_healthy_ms: 0
        "#]],
    );
}

#[test]
fn a_pod_is_a_service_of_one_replica_and_can_have_the_network_of_its_host() {
    check(
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: shop, labels: { app: a } }\nspec:\n  hostNetwork: true\n  containers: [{ name: a, image: \"busybox@sha256:0000000000000000000000000000000000000000000000000000000000000000\", ports: [{ containerPort: 80, name: http }] }]\n",
        expect![[r#"
            pod a.shop
            + labels.app: a
            + name: a.shop
            + replicas: 1
            + task.container.image.reference: busybox@sha256:0000000000000000000000000000000000000000000000000000000000000000
            + task.container.network.ports[0].host_port: 80
            + task.container.network.ports[0].name: http
            + task.kill_policy.grace_period_ms: 30000
            + task.limits.cpus: Infinity
            + task.limits.mem: Infinity
            + task.resources.items[0].name: cpus
            + task.resources.items[0].scalar: 0.1
            + task.resources.items[1].name: mem
            + task.resources.items[1].scalar: 134217728.0
        "#]],
    );
}

/// What of resources and limits a container gets with some `limits` of a LimitRange.
fn with_range(limits: &str, resources: &str) -> String {
    let range =
        format!("apiVersion: v1\nkind: LimitRange\nmetadata: {{ name: r }}\nspec:\n  limits: [{limits}]\n");
    let files = [
        source("range.yaml", &range),
        source("web.yaml", &deployment_with(&format!("resources: {resources}"))),
    ];
    match read(&files, None) {
        Ok(manifests) => {
            let spec = manifests.objects.iter().find_map(Object::spec).unwrap();
            let task = spec.task.as_ref().unwrap();
            let resources = task.resources.clone().unwrap();
            let resources = proffer_types::Resources::try_from(resources).unwrap();
            let limits = task.limits.unwrap_or_default();
            format!("{resources}, up to {:?} and {:?}\n", limits.cpus, limits.mem)
        }
        Err(error) => error.to_string() + "\n",
    }
}

#[test]
fn a_limit_range_gives_defaults_as_kubernetes_does() {
    let both =
        "{ type: Container, default: { cpu: 2, memory: 2Gi }, defaultRequest: { cpu: 1, memory: 1Gi } }";
    let all = [
        with_range(both, "{}"),
        // A limit without a request is the request.
        with_range(both, "{ limits: { cpu: 500m } }"),
        with_range(both, "{ requests: { cpu: 1500m } }"),
        with_range(both, "{ requests: { cpu: 3 } }"),
        // A default limit alone is the default request, a maximum the default limit, a minimum the default request.
        with_range("{ type: Container, default: { memory: 1Gi } }", "{}"),
        with_range("{ type: Container, max: { memory: 1Gi } }", "{}"),
        with_range("{ type: Container, min: { memory: 1Gi } }", "{}"),
        // The first of several wins.
        with_range(
            &format!("{{ type: Container, default: {{ cpu: 250m }} }}, {both}"),
            "{}",
        ),
        with_range(
            "{ type: Container, max: { cpu: 1 }, min: { cpu: 100m } }",
            "{ limits: { cpu: 2 } }",
        ),
        with_range(
            "{ type: Container, min: { cpu: 100m } }",
            "{ requests: { cpu: 50m } }",
        ),
        with_range("{ type: Pod, max: { memory: 1Gi } }", "{}"),
        with_range(
            "{ type: Container, maxLimitRequestRatio: { cpu: 2 } }",
            "{ requests: { cpu: 1 }, limits: { cpu: 3 } }",
        ),
        with_range(
            "{ type: Container, maxLimitRequestRatio: { cpu: 1.5 } }",
            "{ requests: { cpu: 1 }, limits: { cpu: 1500m } }",
        ),
        with_range(
            "{ type: Container, default: { cpu: 1 }, defaultRequest: { cpu: 2 } }",
            "{}",
        ),
        with_range("{ type: PersistentVolumeClaim, max: { storage: 1Gi } }", "{}"),
        with_range("{ max: { cpu: 1 } }", "{}"),
    ]
    .concat();
    expect![[r#"
        cpus:1;mem:1GiB, up to Some(2.0) and Some(2147483648.0)
        cpus:0.5;mem:1GiB, up to Some(0.5) and Some(2147483648.0)
        cpus:1.5;mem:1GiB, up to Some(2.0) and Some(2147483648.0)
        web.yaml:12:20: spec.template.spec.containers[0].resources: the request of cpu is more than its limit
        cpus:0.1;mem:1GiB, up to Some(inf) and Some(1073741824.0)
        cpus:0.1;mem:1GiB, up to Some(inf) and Some(1073741824.0)
        cpus:0.1;mem:1GiB, up to Some(inf) and Some(inf)
        cpus:0.25;mem:1GiB, up to Some(0.25) and Some(2147483648.0)
        web.yaml:12:20: limitrange `r`: the limit of cpu is more than its maximum
        web.yaml:12:20: limitrange `r`: the request of cpu is less than its minimum
        web.yaml:12:20: limitrange `r`: the limit of memory is more than its maximum
        web.yaml:12:20: limitrange `r`: the limit of cpu is more times its request than maxLimitRequestRatio allows
        cpus:1;mem:128MiB, up to Some(1.5) and Some(inf)
        range.yaml:5:12: spec.limits[0]: the default request of cpu is more than its default limit
        range.yaml:5:20: spec.limits[0].type: only Container and Pod are taken
        range.yaml:5:12: spec.limits[0]: missing field `type`
    "#]].assert_eq(&all);
}

#[test]
fn a_limit_range_is_for_its_own_namespace() {
    let text = format!(
        "apiVersion: v1\nkind: LimitRange\nmetadata: {{ name: r, namespace: other }}\nspec: {{ limits: [{{ type: Container, default: {{ cpu: 7 }} }}] }}\n---\n{}",
        deployment_with("")
    );
    let manifests = read(&[source("a.yaml", &text)], None).unwrap();
    let spec = manifests.objects.iter().find_map(Object::spec).unwrap();
    let limits = spec.task.as_ref().unwrap().limits.unwrap();
    assert_eq!(
        (limits.cpus, limits.mem),
        (Some(f64::INFINITY), Some(f64::INFINITY))
    );
}

const PORTS: &str =
    "ports: [{ containerPort: 8080, name: http }, { containerPort: 53, protocol: UDP, name: dns }]";

/// What comes of a Service with some `spec`, with a Deployment that it selects.
fn with_service(spec: &str, ports: &str) -> String {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: web }}\nspec:\n  selector: {{ app: web }}\n{spec}---\n{}",
        deployment_with(ports)
    );
    let manifests = match read(&[source("a.yaml", &text)], None) {
        Ok(manifests) => manifests,
        Err(error) => return error.to_string() + "\n",
    };
    let mut shown_all = String::new();
    for object in &manifests.objects {
        if let Some(spec) = object.spec() {
            let network = spec
                .task
                .as_ref()
                .and_then(|task| task.container.as_ref()?.network.as_ref());
            for port in network
                .map(|network| network.ports.as_slice())
                .unwrap_or_default()
            {
                let number = port.container_port;
                let _ = writeln!(
                    shown_all,
                    "container {:?} {number} {:?}",
                    port.name,
                    port.protocol()
                );
            }
        }
        if let Object::VirtualService(service) = object {
            shown_all.push_str(&shown(service));
        }
    }
    shown_all
}

#[test]
fn ports_of_services() {
    let all = [
        with_service("  ports: [{ port: 80, targetPort: http, appProtocol: http }]\n", PORTS),
        with_service(
            "  type: NodePort\n  ports: [{ port: 80, name: web, targetPort: 9000, nodePort: 30080 }, { port: 53, name: dns, protocol: UDP }]\n",
            PORTS,
        ),
        with_service("  ports: [{ port: 80, targetPort: https }]\n", PORTS),
        with_service("  ports: [{ port: 80, targetPort: dns }]\n", PORTS),
        with_service("  ports: [{ port: 80 }, { port: 81 }]\n", PORTS),
        with_service("  ports: [{ port: 80, name: a }, { port: 80, name: b }]\n", PORTS),
        with_service("  type: NodePort\n  ports: [{ port: 80 }]\n", PORTS),
        with_service("  ports: [{ port: 80, nodePort: 30080 }]\n", PORTS),
        with_service("  ports: []\n", PORTS),
        with_service("  clusterIP: None\n  ports: [{ port: 80 }]\n", PORTS),
        with_service("  clusterIP: None\n", PORTS),
        with_service("  clusterIP: None\n  type: LoadBalancer\n  ports: [{ port: 80 }]\n", PORTS),
        with_service("  clusterIP: 10.0.0.1\n  ports: [{ port: 80 }]\n", PORTS),
        with_service("  type: ExternalName\n  externalName: example.org\n", PORTS),
        with_service("  sessionAffinity: ClientIP\n  ports: [{ port: 80 }]\n", PORTS),
        with_service("  ports: [{ port: 0 }]\n", PORTS),
        with_service("  ports: [{ port: 65536 }]\n", PORTS),
        with_service("  ports: [{ port: 53, protocol: UDP, appProtocol: http }]\n", PORTS),
    ]
    .concat();
    expect![[r#"
        + name: web
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_HTTP
        + ports[0].target_name: http
        + selector.app: web
        container "http" 8080 Unspecified
        container "dns" 53 Udp
        a.yaml:7:71: spec.ports[1]: missing field `nodePort`: none is chosen by itself
        a.yaml:6:11: deployment `web` has no port of this name and protocol
        a.yaml:6:11: deployment `web` has no port of this name and protocol
        a.yaml:6:25: each of several ports needs a name of its own
        a.yaml:6:34: port 80 stands here a second time
        a.yaml:7:11: spec.ports[0]: missing field `nodePort`: none is chosen by itself
        a.yaml:6:33: spec.ports[0].nodePort: is for the types NodePort and LoadBalancer
        a.yaml:5:3: spec: missing field `ports`: a service with an address needs one
        + headless: true
        + name: web
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 80
        + selector.app: web
        container "http" 8080 Unspecified
        container "dns" 53 Udp
        container "" 80 Unspecified
        + headless: true
        + name: web
        + selector.app: web
        container "http" 8080 Unspecified
        container "dns" 53 Udp
        a.yaml:6:14: spec.clusterIP: what is published needs an address; leave it out
        a.yaml:6:14: spec.clusterIP: the address is given by Proffer; leave it out
        a.yaml:6:9: spec.type: a service that is another name is not supported
        a.yaml:6:20: spec.sessionAffinity: only None is taken
        a.yaml:6:19: spec.ports[0].port: expected a whole number from 1 to 65535, found `0`
        a.yaml:6:19: spec.ports[0].port: expected a whole number from 1 to 65535, found `65536`
        a.yaml:6:11: spec.ports[0]: http is spoken over TCP
    "#]]
    .assert_eq(&all);
}

/// What comes of an Endpoints or EndpointSlice for a Service `db` with some ports.
fn with_endpoints(ports: &str, endpoints: &str) -> String {
    let text = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{ name: db }}\nspec: {{ ports: {ports} }}\n---\n{endpoints}"
    );
    outcome(&[source("a.yaml", &text)], None) + "\n"
}

#[test]
fn addresses_of_their_own() {
    let endpoints =
        |rest: &str| format!("apiVersion: v1\nkind: Endpoints\nmetadata: {{ name: db }}\n{rest}\n");
    let slice = |rest: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{ name: db-1, labels: {{ kubernetes.io/service-name: db }} }}\naddressType: IPv4\n{rest}\n"
        )
    };
    let one = "[{ port: 5432 }]";
    let two = "[{ port: 5432, name: sql }, { port: 80, name: web }]";
    let all = [
        with_endpoints(
            one,
            &endpoints("subsets: [{ addresses: [{ ip: 10.0.0.1 }, { ip: \"fd00::1\" }], ports: [{ port: 5433 }] }]"),
        ),
        with_endpoints(
            two,
            &endpoints(
                "subsets: [{ addresses: [{ ip: 10.0.0.1 }], ports: [{ name: sql, port: 1 }, { name: web, port: 2 }] }]",
            ),
        ),
        with_endpoints(
            one,
            &slice("ports: [{ name: a, port: 5433 }]\nendpoints: [{ addresses: [10.0.0.1], conditions: { ready: true } }]"),
        ),
        with_endpoints(
            two,
            &endpoints("subsets: [{ addresses: [{ ip: 10.0.0.1 }], ports: [{ name: other, port: 1 }] }]"),
        ),
        with_endpoints(one, &endpoints("subsets: []")),
        with_endpoints(
            one,
            &endpoints("subsets: [{ addresses: [{ ip: 10.0.0.256 }], ports: [{ port: 1 }] }]"),
        ),
        with_endpoints(
            one,
            &endpoints("spec: { endpoints: [{ address: { ip: 10.0.0.1, port: { number: 81 } }, ports: [{ number: 80 }] }] }"),
        ),
        with_endpoints(
            one,
            &endpoints("subsets: [{ addresses: [{ ip: 10.0.0.1 }], ports: [{ port: 1 }] }]")
                .replace("name: db", "name: other"),
        ),
    ]
    .concat();
    expect![[r#"
        service db
        + endpoints[0].address: 10.0.0.1
        + endpoints[0].ports[0].number: 5433
        + endpoints[1].address: fd00::1
        + endpoints[1].ports[0].number: 5433
        + name: db
        + ports[0].port.number: 5432
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 5432

        service db
        + endpoints[0].address: 10.0.0.1
        + endpoints[0].ports[0].name: sql
        + endpoints[0].ports[0].number: 1
        + endpoints[0].ports[1].name: web
        + endpoints[0].ports[1].number: 2
        + name: db
        + ports[0].port.name: sql
        + ports[0].port.number: 5432
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 5432
        + ports[1].port.name: web
        + ports[1].port.number: 80
        + ports[1].port.protocol: PORT_TCP
        + ports[1].target_number: 80

        service db
        + endpoints[0].address: 10.0.0.1
        + endpoints[0].ports[0].number: 5433
        + name: db
        + ports[0].port.number: 5432
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 5432

        a.yaml:9:25: no port here is one of service `db`
        a.yaml:6:1: has no address; Kubernetes has them in `subsets`
        a.yaml:9:31: subsets[0].addresses[0].ip: `10.0.0.256` is not an address of a host
        a.yaml:9:21: spec.endpoints[0]: the port of the address is none of the ports
        a.yaml:8:19: there is no Service `other` in what is applied
    "#]]
    .assert_eq(&all);
}
