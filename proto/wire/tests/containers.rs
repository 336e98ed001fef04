//! What a container must not ask for, and what whoever asks is told.

use proffer_types::container::{Capability, PullPolicy};
use proffer_types::{ContainerSpec, Resources, TaskInfo};
use proffer_wire::v1;
use proffer_wire::v1::check::Kind;
use proffer_wire::v1::volume_spec::{self as volume, Source};

fn spec() -> v1::ContainerSpec {
    v1::ContainerSpec {
        command: vec!["true".into()],
        ..Default::default()
    }
}

/// Asserts what is said of a spec that was changed.
fn refused(change: impl FnOnce(&mut v1::ContainerSpec), expected: &str) {
    let mut message = spec();
    change(&mut message);
    let error = ContainerSpec::try_from(message).err();
    assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(expected));
}

fn image(reference: &str) -> Option<v1::ImageSpec> {
    Some(v1::ImageSpec {
        reference: reference.into(),
        ..Default::default()
    })
}

#[test]
fn a_command_is_missing_only_where_an_image_has_one() {
    refused(
        |spec| spec.command.clear(),
        "command: is empty, and there is no image",
    );
    refused(|spec| spec.command[0].clear(), "command[0]: is empty");
    refused(
        |spec| spec.arguments = vec!["a".into(), "\0".into()],
        "arguments[1]: `\\0` holds a NUL byte",
    );
    refused(
        |spec| spec.arguments = vec!["x".repeat(256 << 10)],
        "command: 262148 bytes of command and arguments, at most 262144 are allowed",
    );
    let message = v1::ContainerSpec {
        image: image("busybox"),
        arguments: vec!["ls".into()],
        ..Default::default()
    };
    let spec = ContainerSpec::try_from(message).unwrap();
    assert_eq!(spec.image.unwrap().pull, PullPolicy::IfMissing);
}

#[test]
fn a_reference_of_an_image_holds_nothing_that_could_be_an_option_or_a_line() {
    for good in [
        "busybox",
        "quay.io:5000/a/b_c:1.2-x@sha256:00",
        "[::1]:5000/a",
        "oci:/srv/images/a:1.2",
        "oci-archive:/srv/a b.tar",
        "oci:v1",
    ] {
        let message = v1::ContainerSpec {
            image: image(good),
            ..Default::default()
        };
        ContainerSpec::try_from(message).unwrap();
    }
    for bad in ["", "-a", "a b", "a\nb", "oci:a b", "/a", "é"] {
        let expected = format!(
            "image.reference: `{}` is not a reference of an image",
            bad.escape_debug()
        );
        refused(|spec| spec.image = image(bad), &expected);
    }
    refused(
        |spec| spec.image = image("oci:/srv/../etc"),
        "image.reference: `/srv/../etc` has a part that is `.` or `..`",
    );
    refused(
        |spec| spec.image = image(&"a".repeat(513)),
        "image.reference: 513 bytes, at most 512 are allowed",
    );
}

#[test]
fn a_variable_is_a_secret_or_not_and_secrets_are_names_of_files() {
    let secret = |secret: &str| {
        let secret = secret.to_owned();
        move |spec: &mut v1::ContainerSpec| {
            spec.env.insert("A".into(), "1".into());
            spec.secret_env.insert("B".into(), secret);
        }
    };
    refused(
        secret("../key"),
        "secret_env: `../key` must be letters, digits, `.`, `_` and `-`, and not begin with `.`",
    );
    refused(secret(""), "secret_env: `` must have 1 to 255 bytes");
    refused(
        |message| {
            secret("key")(message);
            message.secret_env.insert("A".into(), "key".into());
        },
        "secret_env: `A` is in env too",
    );
}

#[test]
fn users_and_groups_are_names_or_numbers() {
    for bad in ["a:b:c", ":a", "a:", "a b", "a/b", "a\n"] {
        let expected = format!("user: `{}` is not a `user` or `user:group`", bad.escape_debug());
        refused(|spec| spec.user = bad.into(), &expected);
    }
    refused(
        |spec| spec.supplementary_groups = vec![1, u32::MAX],
        "supplementary_groups: 4294967295 is no group",
    );
    refused(
        |spec| spec.supplementary_groups = vec![1; 65],
        "supplementary_groups: 65 groups, at most 64 are allowed",
    );
}

fn at(container_path: &str, source: Option<Source>) -> v1::VolumeSpec {
    v1::VolumeSpec {
        container_path: container_path.into(),
        source,
        ..Default::default()
    }
}

fn tmpfs() -> Option<Source> {
    Some(Source::Tmpfs(volume::Tmpfs::default()))
}

#[test]
fn a_volume_is_somewhere_of_its_own_and_cannot_climb() {
    let one = |volume: v1::VolumeSpec, expected: &str| refused(|spec| spec.volumes = vec![volume], expected);
    one(
        at("data", tmpfs()),
        "volumes[0].container_path: `data` is not an absolute path",
    );
    one(at("//", tmpfs()), "volumes[0].container_path: is the root");
    one(
        at("/a/../b", tmpfs()),
        "volumes[0].container_path: `/a/../b` has a part that is `.` or `..`",
    );
    one(at("/a", None), "volumes[0].source: is missing");
    let sandbox = |path: &str| Some(Source::Sandbox(volume::Sandbox { path: path.into() }));
    for (bad, why) in [
        ("../x", "has a part that is `.` or `..`"),
        ("/x", "is not a relative path"),
        ("", "is not a relative path"),
    ] {
        one(
            at("/a", sandbox(bad)),
            &format!("volumes[0].sandbox.path: `{bad}` {why}"),
        );
    }
    let name = "..".to_owned();
    one(
        at("/a", Some(Source::Group(volume::Group { name }))),
        "volumes[0].group.name: `..` must be letters, digits, `.`, `_` and `-`, and not begin with `.`",
    );
    let size = Some(0);
    one(
        at("/a", Some(Source::Tmpfs(volume::Tmpfs { size }))),
        "volumes[0].tmpfs.size: is 0",
    );
    let host_path = volume::HostPath {
        path: "/srv".into(),
        propagation: 9,
    };
    one(
        at("/a", Some(Source::HostPath(host_path))),
        "volumes[0].host_path.propagation: 9 is not a known value",
    );
    refused(
        |spec| spec.volumes = vec![at("/a/b", tmpfs()), at("/a//b/", tmpfs())],
        "volumes[1].container_path: another volume is at `/a//b/` too",
    );
    refused(
        |spec| spec.volumes = (0..65).map(|n| at(&format!("/{n}"), tmpfs())).collect(),
        "volumes: 65 volumes, at most 64 are allowed",
    );
}

fn port(name: &str, container_port: u32, host_port: u32) -> v1::PortMapping {
    v1::PortMapping {
        name: name.into(),
        container_port,
        host_port,
        ..Default::default()
    }
}

fn network(mode: v1::NetworkMode, ports: Vec<v1::PortMapping>) -> v1::NetworkSpec {
    v1::NetworkSpec {
        mode: mode.into(),
        ports,
        ..Default::default()
    }
}

#[test]
fn a_network_does_what_its_mode_can() {
    use v1::NetworkMode::{NetworkBridge, NetworkCni, NetworkHost, NetworkNone};
    let one = |network: v1::NetworkSpec, expected: &str| {
        refused(
            |spec| spec.network = Some(network),
            &format!("network.{expected}"),
        );
    };
    one(network(NetworkCni, vec![]), "cni: `` must have 1 to 255 bytes");
    let cni = "lan".to_owned();
    one(
        v1::NetworkSpec {
            cni,
            ..network(NetworkBridge, vec![])
        },
        "cni: is named, but the mode is another",
    );
    one(
        network(NetworkNone, vec![port("http", 80, 0)]),
        "ports: nobody reaches a task without a network",
    );
    one(
        network(NetworkHost, vec![port("http", 80, 8080)]),
        "ports[0].container_port: in the host's network a task listens on the host's port: leave it out",
    );
    one(
        v1::NetworkSpec {
            egress_kbps: Some(1),
            ..network(NetworkHost, vec![])
        },
        "mode: rates can be limited in a bridge or CNI network only",
    );
    one(
        v1::NetworkSpec {
            egress_kbps: Some(0),
            ..network(NetworkBridge, vec![])
        },
        "egress_kbps: is 0",
    );
    let bridge = |ports| network(NetworkBridge, ports);
    one(
        bridge(vec![port("", 65536, 0)]),
        "ports[0].container_port: 65536 is not a port",
    );
    one(
        bridge(vec![port("a b", 1, 0)]),
        "ports[0].name: `a b` must be 1 to 63 letters, digits, `_` and `-`",
    );
    one(
        bridge(vec![port("a-b", 1, 0), port("A_b", 2, 0)]),
        "ports[1].name: `A_b` is the name of another port too",
    );
    one(
        bridge(vec![port("", 1, 80), port("", 2, 80)]),
        "ports[1].host_port: 80 is the host port of another one too",
    );
    let dns = vec!["9.9.9.9".into(), "dns.org".into()];
    one(
        v1::NetworkSpec {
            dns,
            ..bridge(vec![])
        },
        "dns[1]: invalid IP address syntax",
    );
    let hosts = vec![v1::HostEntry {
        address: "::1".into(),
        name: "a\n127.0.0.1 b".into(),
    }];
    one(
        v1::NetworkSpec {
            hosts,
            ..bridge(vec![])
        },
        "hosts[0].name: `a\\n127.0.0.1 b` is not the name of a host",
    );
}

#[test]
fn a_file_is_fetched_from_a_place_we_know_to_a_place_in_the_sandbox() {
    let one = |fetch: v1::Fetch, expected: &str| {
        refused(|spec| spec.fetch = vec![fetch], &format!("fetch[0].{expected}"));
    };
    let from = |uri: &str| v1::Fetch {
        uri: uri.into(),
        ..Default::default()
    };
    one(
        from("ftp://x/a"),
        "uri: is neither `http://` nor `https://` nor `file://` nor `data:`",
    );
    one(from("x/a"), "uri: has no scheme like `https://`");
    one(from("https:///a"), "uri: names no host");
    one(from("data:x"), "uri: has no comma before its data");
    one(
        from("data:,http://x/a"),
        "destination: is missing, and the path of the URI has no name at its end",
    );
    let long = format!("data:,{}", "x".repeat(64 << 10));
    one(from(&long), "uri: 65542 bytes, at most 65536 are allowed");
    one(
        from("http://x/a\r\nb"),
        "uri: holds something that is not printable ASCII",
    );
    one(
        from("file:///a/../b"),
        "uri: `/a/../b` has a part that is `.` or `..`",
    );
    one(
        from("http://x/a/"),
        "destination: is missing, and the path of the URI has no name at its end",
    );
    one(
        from("http://x/.."),
        "destination: `..` has a part that is `.` or `..`",
    );
    one(
        v1::Fetch {
            destination: "/etc/passwd".into(),
            ..from("http://x/a")
        },
        "destination: `/etc/passwd` is not a relative path",
    );
    one(
        v1::Fetch {
            sha256: "A".repeat(64),
            ..from("http://x/a")
        },
        &format!("sha256: `{}` is not 64 hex digits in lower case", "A".repeat(64)),
    );
    one(
        v1::Fetch {
            extract: true,
            executable: true,
            ..from("http://x/a.tar")
        },
        "executable: an archive that is extracted is not executable itself",
    );
    refused(
        |spec| spec.fetch = vec![from("http://x/a"), from("http://y/a?b")],
        "fetch[1].destination: is that of another file too",
    );
}

fn check(kind: Kind) -> v1::Check {
    v1::Check {
        kind: Some(kind),
        ..Default::default()
    }
}

fn tcp(port: v1::port_ref::Port) -> v1::Check {
    let port = Some(v1::PortRef { port: Some(port) });
    check(Kind::Tcp(v1::check::Tcp { port }))
}

#[test]
fn a_check_asks_something_that_is_there_within_a_day() {
    use v1::port_ref::Port;
    let one = |check: v1::Check, expected: &str| {
        refused(|spec| spec.health = Some(check), &format!("health.{expected}"));
    };
    one(v1::Check::default(), "kind: is missing");
    one(
        check(Kind::Command(v1::check::Command::default())),
        "command.command: is empty",
    );
    let path = "/ HTTP/1.1\r\n".to_owned();
    let http = v1::check::Http {
        path,
        ..Default::default()
    };
    one(
        check(Kind::Http(http)),
        "http.path: `/ HTTP/1.1\\r\\n` is not `/` and printable ASCII",
    );
    one(tcp(Port::Number(0)), "tcp.port: 0 is not a port");
    one(tcp(Port::Name("http".into())), "port: no port is named `http`");
    refused(
        |spec| {
            let mut udp = port("dns", 53, 0);
            udp.protocol = v1::Protocol::Udp.into();
            spec.network = Some(network(v1::NetworkMode::NetworkBridge, vec![udp]));
            spec.readiness = Some(tcp(Port::Name("dns".into())));
        },
        "readiness.port: `dns` is a UDP port",
    );
    let valid = || tcp(Port::Number(80));
    one(
        v1::Check {
            interval_ms: Some(0),
            ..valid()
        },
        "interval_ms: is 0",
    );
    one(
        v1::Check {
            timeout_ms: Some(u64::MAX),
            ..valid()
        },
        "timeout_ms: 18446744073709551615 is longer than a day",
    );
    one(
        v1::Check {
            failures: Some(0),
            ..valid()
        },
        "failures: is 0",
    );
}

#[test]
fn privileges_are_known_ones_and_said_once() {
    let one = |security: v1::Security, expected: &str| {
        refused(
            |spec| spec.security = Some(security),
            &format!("security.{expected}"),
        );
    };
    let adds = |names: &[&str]| v1::Security {
        add_capabilities: names.iter().map(|&name| name.into()).collect(),
        ..Default::default()
    };
    one(adds(&["ALL"]), "add_capabilities[0]: `ALL` is not a capability");
    one(
        adds(&["NET_ADMIN", "cap_net_admin"]),
        "add_capabilities[1]: `cap_net_admin` is there twice",
    );
    one(
        v1::Security {
            drop_capabilities: vec!["KILL".into()],
            ..adds(&["KILL"])
        },
        "drop_capabilities: KILL is added too",
    );
    let profile = v1::security::Seccomp::SeccompProfile("a/b".into());
    one(
        v1::Security {
            seccomp: Some(profile),
            ..Default::default()
        },
        "seccomp_profile: `a/b` must be letters, digits, `.`, `_` and `-`, and not begin with `.`",
    );
    let device = v1::DeviceSpec {
        path: "/dev/fuse".into(),
        ..Default::default()
    };
    let devices = |devices| v1::Security {
        devices,
        ..Default::default()
    };
    one(
        devices(vec![device.clone()]),
        "devices[0].read: neither this nor another access is asked for",
    );
    let readable = v1::DeviceSpec { read: true, ..device };
    one(
        devices(vec![readable.clone(), readable]),
        "devices[1].path: `/dev/fuse` is there twice",
    );
    let every = Capability::ALL.iter().map(|one| format!("CAP_{}", one.as_str()));
    let mut all = spec();
    all.security = Some(v1::Security {
        add_capabilities: every.collect(),
        ..Default::default()
    });
    let all = ContainerSpec::try_from(all).unwrap();
    assert_eq!(all.security.add_capabilities, Capability::ALL);
}

#[test]
fn limits_are_what_the_kernel_takes() {
    let cgroup = |change: &dyn Fn(&mut v1::CgroupSettings), expected: &str| {
        let mut settings = v1::CgroupSettings::default();
        change(&mut settings);
        refused(|spec| spec.cgroup = Some(settings), &format!("cgroup.{expected}"));
    };
    for weight in [0, 10_001, u32::MAX] {
        let expected = format!("io_weight: {weight} is not 1 to 10000");
        cgroup(&|settings| settings.io_weight = Some(weight), &expected);
    }
    for list in ["a", "1-", "3-1", "+1", "0,,1", "8192", "0-3\n"] {
        let expected = format!(
            "cpuset_cpus: `{}` is not a list like `0-3,7`",
            list.escape_debug()
        );
        cgroup(&|settings| settings.cpuset_cpus = list.into(), &expected);
    }
    cgroup(&|settings| settings.memory_high = Some(0), "memory_high: is 0");
    let io = v1::IoLimit {
        path: "/dev/sda".into(),
        ..Default::default()
    };
    cgroup(
        &|settings| settings.io = vec![io.clone()],
        "io[0].path: nothing of it is limited",
    );
    let hugepages = |page_size| v1::HugepageLimit { page_size, limit: 0 };
    cgroup(
        &|settings| settings.hugepages = vec![hugepages(3)],
        "hugepages[0].page_size: 3 is not a power of two",
    );
    cgroup(
        &|settings| settings.hugepages = vec![hugepages(4), hugepages(4)],
        "hugepages[1].page_size: 4 is there twice",
    );
    let rlimit = |kind: i32, soft, hard| v1::Rlimit { kind, soft, hard };
    let nofile = v1::RlimitKind::RlimitNofile.into();
    refused(
        |spec| spec.rlimits = vec![rlimit(17, None, None)],
        "rlimits[0].kind: 17 is not a known value",
    );
    refused(
        |spec| spec.rlimits = vec![rlimit(nofile, None, Some(1))],
        "rlimits[0].hard: the hard limit 1 of nofile is below the soft one",
    );
    refused(
        |spec| spec.rlimits = vec![rlimit(nofile, None, None); 2],
        "rlimits[1].kind: nofile is there twice",
    );
}

#[test]
fn output_is_kept_in_a_few_files_and_restarts_are_asked_for_whole() {
    let logs = |max_bytes, files| {
        move |spec: &mut v1::ContainerSpec| spec.logs = Some(v1::LogSettings { max_bytes, files })
    };
    refused(
        logs(Some(1), None),
        "logs.max_bytes: is 1, at least 4096 are needed",
    );
    refused(logs(None, Some(101)), "logs.files: is 101, not 1 to 100");
    let restart = |on: v1::RestartOn, max, backoff_ms| {
        move |spec: &mut v1::ContainerSpec| {
            spec.restart = Some(v1::RestartPolicy {
                on: on.into(),
                max,
                backoff_ms,
            });
        }
    };
    refused(
        restart(v1::RestartOn::Never, Some(3), None),
        "restart.on: is never, but it is said how",
    );
    refused(
        restart(v1::RestartOn::Always, None, Some(300_001)),
        "restart.backoff_ms: is 300001 ms, not 1 ms to 300 s",
    );
}

#[test]
fn a_task_has_the_memory_it_keeps_and_the_ports_it_publishes() {
    let task = |change: &dyn Fn(&mut v1::ContainerSpec)| {
        let mut container = spec();
        change(&mut container);
        let resources: Resources = "cpus:1;mem:64MiB;ports:[31000-31001]".parse().unwrap();
        let message = v1::TaskInfo {
            task_id: "t".into(),
            agent_id: "a".into(),
            resources: Some(resources.into()),
            container: Some(container),
            ..Default::default()
        };
        TaskInfo::try_from(message).map_err(|error| error.to_string())
    };
    let publish = |n: u32| {
        move |spec: &mut v1::ContainerSpec| {
            let ports = (1..=n).map(|one| port("", one, 0)).chain([port("", 80, 80)]);
            spec.network = Some(network(v1::NetworkMode::NetworkBridge, ports.collect()));
        }
    };
    task(&publish(2)).unwrap();
    assert_eq!(
        task(&publish(3)).unwrap_err(),
        "container.network.ports: 3 need a port of the task's resources, which have 2"
    );
    let keep = |bytes| {
        move |spec: &mut v1::ContainerSpec| {
            spec.cgroup = Some(v1::CgroupSettings {
                memory_min: Some(bytes),
                ..Default::default()
            });
        }
    };
    task(&keep(64 << 20)).unwrap();
    assert_eq!(
        task(&keep((64 << 20) + 1)).unwrap_err(),
        "container.cgroup.memory_min: 67108865 is more than the 67108864 that the task asks for"
    );
}
