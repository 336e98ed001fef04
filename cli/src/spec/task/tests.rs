//! What is written of a task's container, and what is said of what cannot be.

use expect_test::{Expect, expect};
use proffer_types::ContainerSpec;
use proffer_wire::v1;

use super::super::file::parse;
use super::super::{JobFile, ServiceFile};

fn read(fields: &str) -> Result<ContainerSpec, String> {
    let fields = fields.replace('\n', "\n    ");
    let text = format!("name: j\ntasks:\n  - name: t\n    {fields}\n");
    let job = parse::<JobFile>("job.yaml", &text).map_err(|error| error.to_string())?;
    let task = v1::JobSpec::from(job).tasks.remove(0);
    let container = task.container.ok_or("there is no container")?;
    ContainerSpec::try_from(container).map_err(|error| error.to_string())
}

/// What is said of a part of the container, a line each.
fn check<T: std::fmt::Debug>(fields: &str, part: impl FnOnce(ContainerSpec) -> Vec<T>, expected: Expect) {
    let shown = match read(fields) {
        Ok(spec) => part(spec).iter().map(|one| format!("{one:?}\n")).collect(),
        Err(error) => format!("{error}\n"),
    };
    expected.assert_eq(&shown);
}

fn refused(fields: &str, expected: Expect) {
    expected.assert_eq(&read(fields).unwrap_err());
}

#[test]
fn an_image_brings_what_the_task_does_not_say() {
    let part = |spec: ContainerSpec| {
        vec![format!(
            "{:?}",
            (spec.image, spec.command, spec.arguments, spec.user)
        )]
    };
    check(
        "image: nginx:1.27",
        part,
        expect![[r#"
        "(Some(ImageSpec { reference: \"nginx:1.27\", pull: IfMissing }), [], [], None)"
    "#]],
    );
    check(
        "image: {reference: \"oci:/srv/a\", pull: always}\ncommand: [/bin/a]\narguments: [-b]\nuser: www:33",
        part,
        expect![[r#"
            "(Some(ImageSpec { reference: \"oci:/srv/a\", pull: Always }), [\"/bin/a\"], [\"-b\"], Some(\"www:33\"))"
        "#]],
    );
    refused(
        "image: -a\ncpus: 1",
        expect!["job.yaml:4:12: tasks[0].image: reference: `-a` is not a reference of an image"],
    );
    refused(
        "image: {reference: a, pull: often}",
        expect![
            "job.yaml:4:33: tasks[0].image.pull: unknown variant `often`, expected one of missing, always, never"
        ],
    );
    refused(
        "image: {pull: always}",
        expect!["job.yaml:4:13: tasks[0].image: missing field `reference`"],
    );
    refused(
        "image: [a]",
        expect![
            "job.yaml:4:5: tasks[0].image: invalid type: sequence, expected a reference, such as nginx:1.27, or fields, such as {reference: nginx, pull: always}"
        ],
    );
    refused("cpus: 1", expect!["command: is empty, and there is no image"]);
}

#[test]
fn a_volume_has_one_source() {
    check(
        "command: [a]\nvolumes:\n  - {path: /data, host: /srv/x, read_only: true, propagation: host_to_container}\n  - {path: /cache, tmpfs: 64MiB}\n  - {path: /half, tmpfs: half}\n  - {path: /w, sandbox: w}\n  - {path: /s, group: name}\n  - {path: /run/key, secret: db}\n  - {path: /etc/app, config: app.shop, items: {a: b}, mode: \"0440\"}\n  - {path: /tools, image: busybox}",
        |spec| spec.volumes,
        expect![[r#"
            VolumeSpec { container_path: "/data", source: HostPath { path: "/srv/x", propagation: HostToContainer }, read_only: true }
            VolumeSpec { container_path: "/cache", source: Tmpfs { size: Some(67108864) }, read_only: false }
            VolumeSpec { container_path: "/half", source: Tmpfs { size: None }, read_only: false }
            VolumeSpec { container_path: "/w", source: Sandbox { path: "w" }, read_only: false }
            VolumeSpec { container_path: "/s", source: Group { name: "name" }, read_only: false }
            VolumeSpec { container_path: "/run/key", source: Secret { name: "db" }, read_only: false }
            VolumeSpec { container_path: "/etc/app", source: Config(ConfigFiles { config: "app.shop", items: {"a": "b"}, mode: 288 }), read_only: false }
            VolumeSpec { container_path: "/tools", source: Image(ImageSpec { reference: "busybox", pull: IfMissing }), read_only: false }
        "#]],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a}]",
        expect![
            "job.yaml:5:15: tasks[0].volumes[0]: a volume needs one of host, sandbox, group, tmpfs, secret, config and image"
        ],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a, host: /b, tmpfs: half}]",
        expect![
            "job.yaml:5:15: tasks[0].volumes[0]: a volume needs one of host, sandbox, group, tmpfs, secret, config and image"
        ],
    );
    refused(
        "command: [a]\nvolumes: [{path: a, host: /b}]",
        expect!["job.yaml:5:15: tasks[0].volumes[0]: container_path: `a` is not an absolute path"],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a, host: ../b}]",
        expect!["job.yaml:5:15: tasks[0].volumes[0]: host_path.path: `../b` is not an absolute path"],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a, tmpfs: big}]",
        expect![
            "job.yaml:5:33: tasks[0].volumes[0].tmpfs: `big` is not a size; write it like 64MiB, 1.5GiB or a number of bytes, or `half` for half of the task's memory"
        ],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a, sandbox: b, propagation: private}]",
        expect!["job.yaml:5:15: tasks[0].volumes[0]: propagation is for host paths"],
    );
    refused(
        "command: [a]\nvolumes: [{path: /a, hots: /b}]",
        expect![
            "job.yaml:5:26: tasks[0].volumes[0].hots: unknown field `hots`, expected one of path, host, sandbox, group, tmpfs, secret, config, items, mode, image, read_only, propagation"
        ],
    );
}

#[test]
fn a_network_is_the_hosts_unless_a_port_is_in_another() {
    let part = |spec: ContainerSpec| vec![spec.network];
    check(
        "command: [a]",
        part,
        expect![[r#"
        NetworkSpec { mode: Host, ports: [], hosts: [], dns: [], egress_kbps: None, ingress_kbps: None }
    "#]],
    );
    check(
        "command: [a]\nports: [{name: http, host: 8080}]",
        part,
        expect![[r#"
        NetworkSpec { mode: Host, ports: [PortMapping { name: "http", container_port: 0, host_port: 8080, protocol: Tcp }], hosts: [], dns: [], egress_kbps: None, ingress_kbps: None }
    "#]],
    );
    check(
        "command: [a]\nports: [{name: http, container: 8080}, 53:53/udp, 80]",
        part,
        expect![[r#"
            NetworkSpec { mode: Bridge, ports: [PortMapping { name: "http", container_port: 8080, host_port: 0, protocol: Tcp }, PortMapping { name: "", container_port: 53, host_port: 53, protocol: Udp }, PortMapping { name: "", container_port: 80, host_port: 0, protocol: Tcp }], hosts: [], dns: [], egress_kbps: None, ingress_kbps: None }
        "#]],
    );
    check(
        "command: [a]\nnetwork: {mode: bridge, dns: [10.0.0.2], hosts: {db: 10.0.0.3}, egress: 10mbit, ingress: 1gbit}",
        part,
        expect![[r#"
            NetworkSpec { mode: Bridge, ports: [], hosts: [("10.0.0.3", "db")], dns: ["10.0.0.2"], egress_kbps: Some(10000), ingress_kbps: Some(1000000) }
        "#]],
    );
    check(
        "command: [a]\nnetwork: {cni: lan}",
        part,
        expect![[r#"
        NetworkSpec { mode: Cni("lan"), ports: [], hosts: [], dns: [], egress_kbps: None, ingress_kbps: None }
    "#]],
    );
    refused(
        "command: [a]\nnetwork: wifi",
        expect!["job.yaml:5:14: tasks[0].network: `wifi` is not host, none, bridge or cni:NAME"],
    );
    refused(
        "command: [a]\nnetwork: {dns: []}",
        expect!["job.yaml:5:14: tasks[0].network: a network needs one of mode and cni"],
    );
    refused(
        "command: [a]\nnetwork: {mode: bridge, egress: fast}",
        expect![
            "job.yaml:5:37: tasks[0].network.egress: `fast` is not a rate; write it like 500kbit, 10mbit or 1gbit"
        ],
    );
    refused(
        "command: [a]\nports: [{container: 70000}]",
        expect!["job.yaml:5:25: tasks[0].ports[0].container: `70000` is not a whole number from 0 to 65535"],
    );
    refused(
        "command: [a]\nports: [\"80:\"]",
        expect!["job.yaml:5:13: tasks[0].ports[0]: `80:` is not [HOST:]CONTAINER[/udp], such as 8080:80"],
    );
    refused(
        "command: [a]\nnetwork: none\nports: [80]",
        expect!["network.ports: nobody reaches a task without a network"],
    );
}

#[test]
fn a_check_asks_one_thing() {
    let part = |spec: ContainerSpec| vec![spec.health, spec.readiness];
    check(
        "command: [a]\nports: [{name: http, container: 80}]\nhealth: {http: {path: /healthz, port: http}, interval: 2s, timeout: 1s, failures: 3, grace: 10s}\nreadiness: {tcp: 80, delay: 500ms}",
        part,
        expect![[r#"
            Some(Check { kind: Http { port: Name("http"), path: "/healthz", tls: false }, delay: 0ns, interval: 2s, timeout: 1s, grace: 10s, failures: 3 })
            Some(Check { kind: Tcp { port: Number(80) }, delay: 500ms, interval: 10s, timeout: 5s, grace: 0ns, failures: 3 })
        "#]],
    );
    check(
        "command: [a]\nhealth: {grpc: {port: 1, service: a.B}}\nreadiness: {command: [test, -f, up]}",
        part,
        expect![[r#"
            Some(Check { kind: Grpc { port: Number(1), service: "a.B" }, delay: 0ns, interval: 10s, timeout: 5s, grace: 0ns, failures: 3 })
            Some(Check { kind: Command(["test", "-f", "up"]), delay: 0ns, interval: 10s, timeout: 5s, grace: 0ns, failures: 3 })
        "#]],
    );
    refused(
        "command: [a]\nhealth: {interval: 2s}",
        expect!["job.yaml:5:13: tasks[0].health: a check needs one of command, http, tcp and grpc"],
    );
    refused(
        "command: [a]\nhealth: {tcp: 1, command: [b]}",
        expect!["job.yaml:5:13: tasks[0].health: a check needs one of command, http, tcp and grpc"],
    );
    refused(
        "command: [a]\nhealth: {tcp: 1, interval: 0s}",
        expect!["job.yaml:5:13: tasks[0].health: interval_ms: is 0"],
    );
    refused(
        "command: [a]\nhealth: {tcp: 0}",
        expect!["job.yaml:5:13: tasks[0].health: tcp.port: 0 is not a port"],
    );
    refused(
        "command: [a]\nhealth: {tcp: http}",
        expect!["health.port: no port is named `http`"],
    );
    refused(
        "command: [a]\nhealth: {http: {path: /}}",
        expect!["job.yaml:5:21: tasks[0].health.http: missing field `port`"],
    );
}

#[test]
fn files_are_fetched_by_their_uri_or_with_more_said() {
    check(
        "command: [a]\nfetch:\n  - https://x.org/a.sh\n  - {uri: \"file:///srv/b.tar\", extract: true, destination: b, cache: true}",
        |spec| spec.fetch,
        expect![[r#"
            Fetch { uri: "https://x.org/a.sh", sha256: None, destination: None, executable: false, extract: false, cache: false }
            Fetch { uri: "file:///srv/b.tar", sha256: None, destination: Some("b"), executable: false, extract: true, cache: true }
        "#]],
    );
    refused(
        "command: [a]\nfetch: [x.org/a]",
        expect!["job.yaml:5:13: tasks[0].fetch[0]: uri: has no scheme like `https://`"],
    );
    refused(
        "command: [a]\nfetch: [{uri: \"https://x.org/a\", sha256: 12}]",
        expect!["job.yaml:5:13: tasks[0].fetch[0]: sha256: `12` is not 64 hex digits in lower case"],
    );
}

#[test]
fn privileges_are_named() {
    let part = |spec: ContainerSpec| vec![spec.security];
    check(
        "command: [a]\ncapabilities: {add: [net_admin, CAP_KILL], drop: [ALL]}\nseccomp: unconfined\nuser_namespace: host\nread_only: true\nmay_gain_privileges: true\ndevices: [/dev/fuse, \"/dev/kmsg:r\"]",
        part,
        expect![[r#"
            Security { add_capabilities: [Kill, NetAdmin], drop_capabilities: [Chown, DacOverride, Fowner, Fsetid, Setgid, Setuid, Setpcap, NetBindService, NetRaw, SysChroot, AuditWrite, Setfcap], may_gain_privileges: true, seccomp: Unconfined, user_namespace: Host, read_only_root: true, devices: [DeviceSpec { path: "/dev/fuse", access: DeviceAccess { read: true, write: true, mknod: false } }, DeviceSpec { path: "/dev/kmsg", access: DeviceAccess { read: true, write: false, mknod: false } }] }
        "#]],
    );
    check(
        "command: [a]\nseccomp: strict",
        part,
        expect![[r#"
        Security { add_capabilities: [], drop_capabilities: [], may_gain_privileges: false, seccomp: Profile("strict"), user_namespace: Private, read_only_root: false, devices: [] }
    "#]],
    );
    refused(
        "command: [a]\ncapabilities: {add: [ROOT]}",
        expect!["job.yaml:5:26: tasks[0].capabilities.add[0]: `ROOT` is not a capability, such as NET_ADMIN"],
    );
    refused(
        "command: [a]\ndevices: [\"/dev/fuse:x\"]",
        expect![
            "job.yaml:5:15: tasks[0].devices[0]: `/dev/fuse:x` is not PATH or PATH:rwm, such as /dev/fuse:rw"
        ],
    );
    refused(
        "command: [a]\ndevices: [fuse]",
        expect!["job.yaml:5:15: tasks[0].devices[0]: path: `fuse` is not an absolute path"],
    );
    refused(
        "command: [a]\nuser_namespace: mine",
        expect![
            "job.yaml:5:21: tasks[0].user_namespace: unknown variant `mine`, expected one of private, host"
        ],
    );
}

#[test]
fn limits_have_the_kernels_names() {
    check(
        "command: [a]\nrlimits: {nofile: 1024, core: {soft: 0, hard: unlimited}, nproc: unlimited}",
        |spec| spec.rlimits,
        expect![[r#"
            Rlimit { kind: Core, soft: Some(0), hard: None }
            Rlimit { kind: Nproc, soft: None, hard: None }
            Rlimit { kind: Nofile, soft: Some(1024), hard: Some(1024) }
        "#]],
    );
    check(
        "command: [a]\ncgroup: {cpu_burst: 10ms, memory_high: 64MiB, swap: 0, io_weight: 200, io: [{path: /dev/sda, read_bps: 1MiB, write_iops: 100}], cpus: 0-3, mems: 0, hugepages: [{page: 2MiB, limit: 64MiB}]}",
        |spec| vec![spec.cgroup],
        expect![[r#"
            CgroupSettings { cpu_burst_us: Some(10000), memory_min: None, memory_high: Some(67108864), swap: Some(0), io_weight: Some(200), io: [IoLimit { path: "/dev/sda", read_bps: 1048576, write_bps: 0, read_iops: 0, write_iops: 100 }], cpuset_cpus: Some("0-3"), cpuset_mems: Some("0"), hugepages: [HugepageLimit { page_size: 2097152, limit: 67108864 }] }
        "#]],
    );
    refused(
        "command: [a]\nrlimits: {files: 1}",
        expect![
            "job.yaml:5:15: tasks[0].rlimits.files: `files` is not one of cpu, fsize, data, stack, core, rss, nproc, nofile, memlock, as, locks, sigpending, msgqueue, nice, rtprio, rttime"
        ],
    );
    refused(
        "command: [a]\nrlimits: {nofile: {soft: 2, hard: 1}}",
        expect!["job.yaml:5:23: tasks[0].rlimits.nofile: the hard limit is below the soft one"],
    );
    refused(
        "command: [a]\nrlimits: {nofile: many}",
        expect!["job.yaml:5:23: tasks[0].rlimits.nofile: `many` is not a whole number or `unlimited`"],
    );
    refused(
        "command: [a]\ncgroup: {cpus: all}",
        expect!["job.yaml:5:13: tasks[0].cgroup: cpuset_cpus: `all` is not a list like `0-3,7`"],
    );
    refused(
        "command: [a]\ncgroup: {io: [{path: /dev/sda}]}",
        expect!["job.yaml:5:13: tasks[0].cgroup: io[0].path: nothing of it is limited"],
    );
    refused(
        "command: [a]\nresources: {gpus: many}",
        expect![
            "job.yaml:5:23: tasks[0].resources.gpus: `many` is not a number; write it like 1 or 0.5, with at most three decimals"
        ],
    );
}

#[test]
fn restarts_and_output_are_bounded() {
    let part = |spec: ContainerSpec| vec![format!("{:?}", (spec.restart, spec.logs, spec.tty))];
    check(
        "command: [a]\nrestart: always",
        part,
        expect![[r#"
        "(RestartPolicy { on: Always, max: None, backoff: None }, LogSettings { max_bytes: None, files: None }, false)"
    "#]],
    );
    check(
        "command: [a]\nrestart: {on: failure, max: 5, backoff: 1s}\nlogs: {max: 10MiB, files: 5}\ntty: true",
        part,
        expect![[r#"
            "(RestartPolicy { on: Failure, max: Some(5), backoff: Some(1s) }, LogSettings { max_bytes: Some(10485760), files: Some(5) }, true)"
        "#]],
    );
    check(
        "command: [a]\nrestart: on-failure:3",
        part,
        expect![[r#"
            "(RestartPolicy { on: Failure, max: Some(3), backoff: None }, LogSettings { max_bytes: None, files: None }, false)"
        "#]],
    );
    check(
        "command: [a]\nkeep: {finished: 0s, failed: 3d}",
        |spec| vec![format!("{:?}", spec.retention)],
        expect![[r#"
            "Retention { finished: Some(0ns), failed: Some(259200s) }"
        "#]],
    );
    refused(
        "command: [a]\nkeep: {failed: soon}",
        expect![
            "job.yaml:5:20: tasks[0].keep.failed: `soon` is not a duration; write it like 5m30s or 500ms"
        ],
    );
    refused(
        "command: [a]\nrestart: sometimes",
        expect!["job.yaml:5:14: tasks[0].restart: `sometimes` is not never, failure[:MAX] or always[:MAX]"],
    );
    refused(
        "command: [a]\nrestart: {on: never, max: 1}",
        expect!["job.yaml:5:14: tasks[0].restart: on: is never, but it is said how"],
    );
    refused(
        "command: [a]\nlogs: {files: 0}",
        expect!["job.yaml:5:11: tasks[0].logs: files: is 0, not 1 to 100"],
    );
}

#[test]
fn every_example_can_be_submitted() {
    let read = |name: &str| std::fs::read_to_string(format!("../examples/{name}")).unwrap();
    let containers = |name: &str| match name {
        "web.yaml" => {
            let service = parse::<ServiceFile>(name, &read(name)).unwrap();
            vec![v1::ServiceSpec::from(service).task.unwrap().container.unwrap()]
        }
        _ => {
            let job = parse::<JobFile>(name, &read(name)).unwrap();
            let tasks = v1::JobSpec::from(job).tasks.into_iter();
            tasks.map(|task| task.container.unwrap()).collect()
        }
    };
    for name in ["corpus.yaml", "limits.yaml", "web.yaml"] {
        for container in containers(name) {
            ContainerSpec::try_from(container).unwrap();
        }
    }
}
