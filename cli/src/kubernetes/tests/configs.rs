//! ConfigMaps and Secrets, and what uses them.

use super::*;

#[test]
fn files_follow_and_variables_stay() {
    let text = deployment_with(
        r#"env:
- { name: LEVEL, valueFrom: { configMapKeyRef: { name: app, key: level } } }
envFrom:
- { prefix: KEY_, secretRef: { name: keys } }
volumeMounts:
- { name: app, mountPath: /etc/app }
- { name: tls, mountPath: /etc/tls }"#,
    ) + "      volumes:\n      - { name: app, configMap: { name: app, defaultMode: 0640 } }\n      - { name: tls, secret: { secretName: tls, items: [{ key: tls.key, path: key.pem }] } }\n"
        + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: app }\ndata:\n  level: debug\n  app.conf: |\n    a = 1\nbinaryData: { blob: AAEC }\n"
        + "---\napiVersion: v1\nkind: Secret\nmetadata: { name: tls }\ntype: kubernetes.io/tls\ndata: { tls.key: c2Vj\ncmV0 }\nstringData: { tls.key: plain }\n";
    expect![[r#"
        warning: a.yaml:35:7: type: the type of a secret is not kept, nor what it demands checked
        configmap app.shop
        + app.conf: a = 1\n
        + blob: \x00\x01\x02
        + level: debug
        secret tls.shop
        + tls.key: plain
        deployment web.shop
        + labels.app: web
        + name: web.shop
        + replicas: 1
        + task.container.config_env[0].config: keys.shop
        + task.container.config_env[0].variable: KEY_
        + task.container.config_env[1].config: app.shop
        + task.container.config_env[1].key: level
        + task.container.config_env[1].variable: LEVEL
        + task.container.configs[0].name: app.shop
        + task.container.configs[0].on_change: CONFIG_CHANGE_UPDATE
        + task.container.configs[1].name: keys.shop
        + task.container.configs[1].on_change: CONFIG_CHANGE_KEEP
        + task.container.configs[2].name: tls.shop
        + task.container.configs[2].on_change: CONFIG_CHANGE_UPDATE
        + task.container.image.reference: nginx:1.27
        + task.container.network.mode: NETWORK_BRIDGE
        + task.container.volumes[0].config.config: app.shop
        + task.container.volumes[0].config.mode: 416
        + task.container.volumes[0].container_path: /etc/app
        + task.container.volumes[0].read_only: true
        + task.container.volumes[1].config.config: tls.shop
        + task.container.volumes[1].config.items.tls.key: key.pem
        + task.container.volumes[1].container_path: /etc/tls
        + task.container.volumes[1].read_only: true
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
    .assert_eq(&outcome(&[source("a.yaml", &text)], Some("shop")));
}

#[test]
fn what_is_wrong_with_them_says_where() {
    let refused = [
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a.b.c }\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a/b: x }\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: 1 }\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { a: x }\nbinaryData: { a: AAEC }\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\nimmutable: true\n",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata: { a: \"not base64\" }\n",
        "apiVersion: v1\nkind: Secret\nmetadata: { name: a }\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\n",
    ];
    let of_files = refused.map(|text| outcome(&[source("a.yaml", text)], None) + "\n");
    let of_containers = [
        "env: [{ name: A, valueFrom: { fieldRef: { fieldPath: metadata.name } } }]",
        "env: [{ name: A, value: x, valueFrom: { secretKeyRef: { name: a, key: b } } }]",
        "env: [{ name: A, valueFrom: { secretKeyRef: { name: a, key: b, optional: true } } }]",
        "env: [{ name: A, valueFrom: { secretKeyRef: { name: a, key: a/b } } }]",
        "envFrom: [{ prefix: A }]",
    ];
    let of_containers =
        of_containers.map(|fields| outcome(&[source("a.yaml", &deployment_with(fields))], None) + "\n");
    expect![[r#"
        a.yaml:3:19: metadata.name: `a.b.c` is not one label of a DNS name: 1 to 63 lower-case letters, digits and `-`, the first and last not `-`
        a.yaml:4:14: data.a/b: key: `a/b` must be 1 to 253 letters, digits, `.`, `_` and `-`, and not begin with `..`
        a.yaml:4:12: data.a: `1` is not a text; write it as "1"
        a.yaml:5:18: binaryData.a: this key is there twice
        a.yaml:4:12: immutable: only false is taken; a version of a service keeps what it was made with
        a.yaml:4:12: data.a: is not base64; a Secret takes plain texts as `stringData`
        a.yaml:7:19: there is another ConfigMap or Secret `a` in what is applied
        a.yaml:12:49: spec.template.spec.containers[0].env[0].valueFrom.fieldRef: what a pod is called and has is in variables of its own: PROFFER_SERVICE, PROFFER_REPLICA, PROFFER_ADDRESS
        a.yaml:12:47: spec.template.spec.containers[0].env[0].valueFrom: there is a value too
        a.yaml:12:82: spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.optional: only false is taken; what a pod refers to has to be there
        a.yaml:10:9: spec.template.spec.containers[0]: config_env[0].key: `a/b` must be 1 to 253 letters, digits, `.`, `_` and `-`, and not begin with `..`
        a.yaml:12:19: spec.template.spec.containers[0].envFrom[0]: needs one of configMapRef and secretRef
    "#]].assert_eq(&(of_files.concat() + &of_containers.concat()));
}
