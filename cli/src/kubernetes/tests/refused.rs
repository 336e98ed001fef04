//! What is refused says where, and what to do.

use super::*;

fn refusals(containers: &[&str]) -> String {
    let refusal = |fields: &&str| outcome(&[source("a.yaml", &deployment_with(fields))], None) + "\n";
    containers.iter().map(refusal).collect()
}

#[test]
fn fields_of_containers() {
    expect![[r#"
        a.yaml:12:9: spec.template.spec.containers[0].imagePullpolicy: unknown field, or one that is not supported; supported are args, command, env, envFrom, image, imagePullPolicy, livenessProbe, name, ports, readinessProbe, resources, securityContext, startupProbe, stdin, stdinOnce, terminationMessagePath, terminationMessagePolicy, tty, volumeMounts, workingDir
        a.yaml:12:26: spec.template.spec.containers[0].imagePullPolicy: expected Always, IfNotPresent or Never
        a.yaml:12:9: `image` stands here a second time
        a.yaml:12:18: spec.template.spec.containers[0].command: expected a list, found `/bin/sh`
        a.yaml:12:16: spec.template.spec.containers[0].args[0]: `1` is not a text; write it as "1"
        a.yaml:12:21: spec.template.spec.containers[0].args[1]: `yes` is not a text; write it as "yes"
        a.yaml:10:9: spec.template.spec.containers[0]: working_directory: `relative` is not an absolute path
        a.yaml:12:33: spec.template.spec.containers[0].env[0].value: `1` is not a text; write it as "1"
        a.yaml:12:33: spec.template.spec.containers[0].env[0].value: `true` is not a text; write it as "true"
        a.yaml:12:48: spec.template.spec.containers[0].env[1].name: there is another variable of this name
        a.yaml:12:39: spec.template.spec.containers[0].env[0].valueFrom.fileKeyRef: unknown field, or one that is not supported; supported are configMapKeyRef, secretKeyRef
        a.yaml:12:21: spec.template.spec.containers[0].envFrom[0].fileRef: unknown field, or one that is not supported; supported are configMapRef, prefix, secretRef
        a.yaml:12:14: spec.template.spec.containers[0].env: expected a list, found fields
        a.yaml:12:34: spec.template.spec.containers[0].ports[0].containerPort: expected a whole number from 1 to 65535, found `0`
        a.yaml:12:34: spec.template.spec.containers[0].ports[0].containerPort: expected a whole number from 1 to 65535, found `80.5`
        a.yaml:12:34: spec.template.spec.containers[0].ports[0].containerPort: expected a whole number from 1 to 65535, found the text `80`
        a.yaml:12:48: spec.template.spec.containers[0].ports[0].protocol: expected TCP or UDP
        a.yaml:12:44: spec.template.spec.containers[0].ports[0].name: `HTTP` is not the name of a port: 1 to 15 lower-case letters, digits and `-`
        a.yaml:12:40: spec.template.spec.containers[0].ports[1]: port 80 stands here a second time
        a.yaml:12:49: spec.template.spec.containers[0].ports[1]: there is another port `a`
        a.yaml:12:17: spec.template.spec.containers[0].ports[0]: missing field `containerPort`
        a.yaml:12:20: spec.template.spec.containers[0].lifecycle: hooks are not supported
        a.yaml:12:24: spec.template.spec.containers[0].livenessProbe: a probe needs one of httpGet, tcpSocket, exec and grpc
        a.yaml:12:43: spec.template.spec.containers[0].livenessProbe.httpGet.port: the container has no port `http`
        a.yaml:12:53: spec.template.spec.containers[0].livenessProbe.httpGet.host: a probe asks the task itself, at no other address
        a.yaml:12:24: spec.template.spec.containers[0].livenessProbe: a probe needs one of httpGet, tcpSocket, exec and grpc
        a.yaml:12:24: spec.template.spec.containers[0].livenessProbe: command.command: is empty
        a.yaml:12:66: spec.template.spec.containers[0].livenessProbe.periodSeconds: expected a whole number from 1 to 2147483647, found `0`
        a.yaml:12:24: spec.template.spec.containers[0].livenessProbe: interval_ms: 2147483647000 is longer than a day
        a.yaml:12:69: spec.template.spec.containers[0].livenessProbe.successThreshold: only 1 is taken
        a.yaml:12:23: spec.template.spec.containers[0].startupProbe: a startupProbe is taken beside a livenessProbe alone
        a.yaml:12:23: spec.template.spec.containers[0].startupProbe: a startupProbe that asks anything else than the livenessProbe is not supported
        a.yaml:12:42: spec.template.spec.containers[0].resources.requests.gpu: unknown field, or one that is not supported; supported are cpu, ephemeral-storage, memory
        a.yaml:12:39: spec.template.spec.containers[0].resources.requests.cpu: `100mm` is not a quantity; write it like 100m, 2, 0.5, 128Mi, 1G or 2e3
        a.yaml:12:39: spec.template.spec.containers[0].resources.requests.cpu: expected a number or a text, found a list
        a.yaml:12:20: spec.template.spec.containers[0].resources: the request of cpu is 0; leave it out, or ask for some
        a.yaml:12:20: spec.template.spec.containers[0].resources: the request of memory is more than its limit
        a.yaml:12:42: spec.template.spec.containers[0].resources.requests.memory: `1e30` is more than Proffer can count
        a.yaml:12:42: spec.template.spec.containers[0].resources.requests.memory: `-1` is not a quantity; write it like 100m, 2, 0.5, 128Mi, 1G or 2e3
        a.yaml:12:40: spec.template.spec.containers[0].securityContext.privileged: only false is taken; say which capabilities it needs
        a.yaml:12:26: spec.template.spec.containers[0].securityContext: runAsNonRoot needs a runAsUser other than 0: an image is not looked into
        a.yaml:12:26: spec.template.spec.containers[0].securityContext: runAsGroup needs runAsUser beside it
        a.yaml:12:50: spec.template.spec.containers[0].securityContext.capabilities.add[0]: `NET_ADMN` is not a capability, such as NET_ADMIN
        a.yaml:12:32: spec.template.spec.containers[0].volumeMounts[0].name: the pod has no such volume
    "#]].assert_eq(&refusals(&[
        "imagePullpolicy: Always",
        "imagePullPolicy: Sometimes",
        "image: other",
        "command: /bin/sh",
        "args: [1]",
        "args: [\"1\", yes]",
        "workingDir: relative",
        "env: [{ name: A, value: 1 }]",
        "env: [{ name: A, value: true }]",
        "env: [{ name: A, value: \"1\" }, { name: A, value: \"2\" }]",
        "env: [{ name: A, valueFrom: { fileKeyRef: { path: a } } }]",
        "envFrom: [{ fileRef: { name: a } }]",
        "env: { A: b }",
        "ports: [{ containerPort: 0 }]",
        "ports: [{ containerPort: 80.5 }]",
        "ports: [{ containerPort: \"80\" }]",
        "ports: [{ containerPort: 80, protocol: SCTP }]",
        "ports: [{ containerPort: 80, name: HTTP }]",
        "ports: [{ containerPort: 80 }, { containerPort: 80 }]",
        "ports: [{ containerPort: 80, name: a }, { containerPort: 81, name: a }]",
        "ports: [{ name: a }]",
        "lifecycle: { preStop: { exec: { command: [a] } } }",
        "livenessProbe: {}",
        "livenessProbe: { httpGet: { port: http } }",
        "livenessProbe: { httpGet: { port: 80, host: a } }",
        "livenessProbe: { tcpSocket: { port: 80 }, exec: { command: [a] } }",
        "livenessProbe: { exec: { command: [] } }",
        "livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 0 }",
        "livenessProbe: { tcpSocket: { port: 80 }, periodSeconds: 2147483647 }",
        "livenessProbe: { tcpSocket: { port: 80 }, successThreshold: 2 }",
        "startupProbe: { tcpSocket: { port: 80 } }",
        "startupProbe: { tcpSocket: { port: 80 } }\nlivenessProbe: { tcpSocket: { port: 81 } }",
        "resources: { requests: { cpu: 1, gpu: 1 } }",
        "resources: { requests: { cpu: 100mm } }",
        "resources: { requests: { cpu: [1] } }",
        "resources: { requests: { cpu: 0 } }",
        "resources: { requests: { memory: 2Gi }, limits: { memory: 1Gi } }",
        "resources: { requests: { memory: 1e30 } }",
        "resources: { requests: { memory: -1 } }",
        "securityContext: { privileged: true }",
        "securityContext: { runAsNonRoot: true }",
        "securityContext: { runAsGroup: 1 }",
        "securityContext: { capabilities: { add: [NET_ADMN] } }",
        "volumeMounts: [{ name: a, mountPath: /a }]",
    ]));
}

#[test]
fn fields_of_pods() {
    let all: String = [
        "initContainers: [{ name: a, image: b }]",
        "restartPolicy: Never",
        "affinity: { nodeAffinity: {} }",
        "tolerations: [{ operator: Exists }]",
        "serviceAccountName: admin",
        "hostPID: true",
        "volumes: [{ name: a, projected: { sources: [] } }]",
        "volumes: [{ name: a, emptyDir: {}, hostPath: { path: /a } }]",
        "volumes: [{ name: a, emptyDir: { sizeLimit: 1Gi } }]",
        "volumes: [{ name: a, hostPath: { path: /a, type: DirectoryOrCreate } }]",
        "volumes: [{ name: a, emptyDir: {} }, { name: a, emptyDir: {} }]",
        "volumes: [{ name: a, nfs: { server: b, path: / } }]",
        "nodeSelector: { \"a b\": c }",
        "nodeSelector: { a: \"=c\" }",
        "securityContext: { fsGroup: 1 }",
        "terminationGracePeriodSeconds: -1",
        "hostNetwork: yes",
        "priorityClassName: high",
    ]
    .map(|fields| {
        let text = deployment_with("") + &format!("      {fields}\n");
        outcome(&[source("a.yaml", &text)], None) + "\n"
    })
    .concat();
    expect![[r#"
        a.yaml:12:23: spec.template.spec.initContainers: a pod of several containers is not supported; a job can run before a service is applied
        a.yaml:12:22: spec.template.spec.restartPolicy: only Always is taken of a service; `proffer job` and `proffer run` have tasks that end
        a.yaml:12:17: spec.template.spec.affinity: is not supported; a nodeSelector is
        a.yaml:12:20: spec.template.spec.tolerations: agents have no taints
        a.yaml:12:27: spec.template.spec.serviceAccountName: there are no service accounts
        a.yaml:12:16: spec.template.spec.hostPID: only false is taken
        a.yaml:12:39: spec.template.spec.volumes[0].projected: is not supported; a volume is of one configMap or secret
        a.yaml:12:17: spec.template.spec.volumes[0]: a volume needs one of emptyDir, hostPath, configMap, secret and image
        a.yaml:12:51: spec.template.spec.volumes[0].emptyDir.sizeLimit: is for the medium Memory; elsewhere ask for ephemeral-storage
        a.yaml:12:56: spec.template.spec.volumes[0].hostPath.type: only Directory or File is taken; what is not there fails the task
        a.yaml:12:44: spec.template.spec.volumes[1]: there is another volume `a`
        a.yaml:12:28: spec.template.spec.volumes[0].nfs: unknown field, or one that is not supported; supported are configMap, emptyDir, hostPath, image, name, secret
        a.yaml:12:30: spec.template.spec.nodeSelector.a b: is not the name of a label: letters, digits, `-`, `_` and `.`, at most 63, perhaps after a DNS name and `/`
        a.yaml:12:26: spec.template.spec.nodeSelector.a: `=c` is not the value of a label: letters, digits, `-`, `_` and `.`, at most 63
        a.yaml:12:35: spec.template.spec.securityContext.fsGroup: volumes keep their owners
        a.yaml:12:38: spec.template.spec.terminationGracePeriodSeconds: expected a whole number from 0 to 2147483647, found `-1`
        a.yaml:12:20: spec.template.spec.hostNetwork: expected true or false, found `yes`
        a.yaml:12:7: spec.template.spec.priorityClassName: unknown field, or one that is not supported; supported are automountServiceAccountToken, containers, dnsConfig, dnsPolicy, enableServiceLinks, hostAliases, hostIPC, hostNetwork, hostPID, nodeSelector, restartPolicy, schedulerName, securityContext, shareProcessNamespace, terminationGracePeriodSeconds, volumes
    "#]].assert_eq(&all);
}

#[test]
fn several_containers() {
    let text = deployment_with("") + "      - { name: b, image: c }\n";
    check(
        &text,
        expect![
            "a.yaml:12:9: spec.template.spec.containers[1]: a pod of several containers is not supported; make it a Deployment of its own"
        ],
    );
    let text = deployment_with("").replace(
        "containers:\n      - name: web\n        image: nginx:1.27",
        "containers: []",
    );
    check(
        &text,
        expect!["a.yaml:9:19: spec.template.spec.containers: a pod needs a container"],
    );
}

#[test]
fn documents() {
    let all: String = [
        "apiVersion: v1\nkind: StatefulSet\nmetadata: { name: a }\ndata: { a: b }\n",
        "apiVersion: apps/v1beta1\nkind: Deployment\nmetadata: { name: a }\n",
        "apiVersion: v1\n",
        "kind: Pod\n",
        "name: web\ntask: { image: nginx }\n---\napiVersion: v1\nkind: Pod\n",
        "apiVersion: v1\nkind: Pod\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: A }\nspec: {}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a.b }\nspec: {}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: 1 }\nspec: {}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a, uid: b }\nspec: {}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: a, image: b }] }\nstatus: { phase: Running }\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: a, image: b }] }\nmore: 1\n",
        "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: [{ name: a, image: \"no image\" }] }\n",
        "apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: List }]\n",
        "apiVersion: v1\nkind: Service\nmetadata: { name: a }\nspec: { selector: { a: b }, ports: [{ port: 80 }] }\n",
        "- apiVersion: v1\n",
    ]
    .map(|text| outcome(&[source("a.yaml", text)], None) + "\n")
    .concat();
    expect![[r#"
        a.yaml:2:7: kind: `StatefulSet` is not supported; supported are Deployment, DaemonSet, Pod, Service, ConfigMap, Secret, LimitRange, Endpoints, EndpointSlice, NetworkPolicy, List
        a.yaml:1:13: apiVersion: `apps/v1beta1` is not apps/v1, of which Deployment is
        a.yaml:1:1: missing field `kind`
        a.yaml:1:1: missing field `apiVersion`
        a.yaml:1:1: missing field `apiVersion`
        a.yaml:1:1: missing field `metadata`
        a.yaml:1:1: missing field `spec`
        a.yaml:3:19: metadata.name: `A` is not one label of a DNS name: 1 to 63 lower-case letters, digits and `-`, the first and last not `-`
        a.yaml:3:19: metadata.name: `a.b` is not one label of a DNS name: 1 to 63 lower-case letters, digits and `-`, the first and last not `-`
        a.yaml:3:19: metadata.name: `1` is not a text; write it as "1"
        a.yaml:3:22: metadata.uid: unknown field, or one that is not supported; supported are annotations, labels, name, namespace
        a.yaml:5:9: status: is what a cluster says, and cannot be applied
        a.yaml:5:1: more: unknown field, or one that is not supported; supported are apiVersion, kind, metadata, spec
        a.yaml:4:40: spec.containers[0].image: reference: `no image` is not a reference of an image
        a.yaml:3:33: items[0].kind: a list cannot stand in a list
        warning: a.yaml:3:19: nothing that is applied with it has the labels that it selects
        service a
        + name: a
        + ports[0].port.number: 80
        + ports[0].port.protocol: PORT_TCP
        + ports[0].target_number: 80
        + selector.a: b

        a.yaml:1:1: expected fields, each as `name: value`, found a list
    "#]].assert_eq(&all);
}

#[test]
fn a_selector_that_does_not_select_its_template() {
    let text = deployment_with("");
    check(
        &text.replace("matchLabels: { app: web }", "matchLabels: { app: other }"),
        expect!["a.yaml:5:28: spec.selector.matchLabels: the template has no label app: other"],
    );
    check(
        &text.replace("matchLabels: { app: web }", "matchLabels: {}"),
        expect!["a.yaml:5:28: spec.selector.matchLabels: selects nothing"],
    );
    let expressions = "matchLabels: { app: web }, matchExpressions: [{ key: a, operator: Exists }]";
    check(
        &text.replace("matchLabels: { app: web }", expressions),
        expect!["a.yaml:5:60: spec.selector.matchExpressions: is not supported; matchLabels is"],
    );
}

#[test]
fn namespaces_that_disagree_and_names_that_are_taken() {
    let text = deployment_with("").replace("name: web }", "name: web, namespace: shop }");
    let in_namespace = |namespace| outcome(&[source("a.yaml", &text)], Some(namespace));
    expect![
        "a.yaml:3:35: metadata.namespace: `shop` is another namespace than `other`, which the command names"
    ]
    .assert_eq(&in_namespace("other"));
    assert_eq!(in_namespace("shop"), outcome(&[source("a.yaml", &text)], None));
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: web, namespace: shop }\nspec: { containers: [{ name: a, image: b }] }\n";
    let both = [source("a.yaml", &text), source("b.yaml", pod)];
    expect!["b.yaml:3:19: there is another Deployment, DaemonSet or Pod `web.shop` in what is applied"]
        .assert_eq(&outcome(&both, None));
    // The same name in another namespace is another service.
    let pod = pod.replace("namespace: shop", "namespace: other");
    let both = [source("a.yaml", &text), source("b.yaml", &pod)];
    assert_eq!(read(&both, None).unwrap().objects.len(), 2);
}

#[test]
fn what_is_not_kept_is_warned_of() {
    let text = deployment_with("").replace(
        "metadata: { name: web }",
        "metadata: { name: web, labels: { app: web, team: a }, annotations: { a: b } }",
    );
    let manifests = read(&[source("a.yaml", &text)], None).unwrap();
    expect![[r#"
        a.yaml:3:19: label team is not kept: the labels of a service are those of its template
        a.yaml:3:68: metadata.annotations: annotations are not kept"#]]
    .assert_eq(&manifests.warnings.join("\n"));
}

#[test]
fn the_line_is_shown() {
    let text = deployment_with("imagepullPolicy: Always");
    let error = read(&[source("a.yaml", &text)], None).unwrap_err();
    expect![[r#"
           |
        12 |         imagepullPolicy: Always
           |         ^
    "#]]
    .assert_eq(error.excerpt());
}
