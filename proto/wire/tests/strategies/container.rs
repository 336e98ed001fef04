//! Arbitrary valid containers.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::ContainerSpec;
use proffer_types::container::*;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::TEXT;

const PATH: &str = "(/[a-z]{1,8}){1,3}";
const OBJECT: &str = "[a-z0-9][a-z0-9._-]{0,8}";

fn word() -> impl Strategy<Value = String> {
    ".{1,10}".prop_map(|word| word.replace('\0', "0"))
}

fn image() -> impl Strategy<Value = ImageSpec> {
    let reference = prop_oneof![
        "[a-z]{1,5}(/[a-z]{1,5})?(:[a-z0-9]{1,4})?",
        "oci:/[a-z]{1,5}:[a-z]{1,3}",
    ];
    let pull = select(vec![PullPolicy::IfMissing, PullPolicy::Always, PullPolicy::Never]);
    (reference, pull).prop_map(|(reference, pull)| ImageSpec { reference, pull })
}

fn rlimits() -> impl Strategy<Value = Vec<Rlimit>> {
    subsequence(RlimitKind::ALL.to_vec(), 0..4).prop_flat_map(|kinds| {
        let kinds = kinds.into_iter().map(|kind| {
            (option::of(0..1_u64 << 40), option::of(any::<u32>())).prop_map(move |(soft, more)| Rlimit {
                kind,
                soft,
                hard: soft.and_then(|soft| more.map(|more| soft + u64::from(more))),
            })
        });
        kinds.collect::<Vec<_>>()
    })
}

fn io() -> impl Strategy<Value = Vec<IoLimit>> {
    btree_map(PATH, (1..u64::MAX, any::<[u64; 3]>()), 0..3).prop_map(|limits| {
        let limits = limits.into_iter().map(|(path, (read_bps, rest))| IoLimit {
            path,
            read_bps,
            write_bps: rest[0],
            read_iops: rest[1],
            write_iops: rest[2],
        });
        limits.collect()
    })
}

/// Keeps no memory: a task may ask for none.
fn cgroup() -> impl Strategy<Value = CgroupSettings> {
    let cpuset = || option::of(select(vec!["0".to_owned(), "0-3,7".to_owned()]));
    (
        (
            option::of(any::<u64>()),
            option::of(1..u64::MAX),
            option::of(any::<u64>()),
        ),
        (option::of(1..=10_000_u16), io(), cpuset(), cpuset()),
        subsequence(vec![1_u64 << 16, 1 << 21, 1 << 30], 0..3),
    )
        .prop_map(
            |((burst, high, swap), (io_weight, io, cpus, mems), pages)| CgroupSettings {
                cpu_burst_us: burst,
                memory_min: None,
                memory_high: high,
                swap,
                io_weight,
                io,
                cpuset_cpus: cpus,
                cpuset_mems: mems,
                hugepages: pages
                    .into_iter()
                    .map(|page_size| HugepageLimit {
                        page_size,
                        limit: page_size * 3,
                    })
                    .collect(),
            },
        )
}

fn security() -> impl Strategy<Value = Security> {
    let seccomp = prop_oneof![
        Just(Seccomp::Default),
        Just(Seccomp::Unconfined),
        OBJECT.prop_map(Seccomp::Profile),
    ];
    let device = (any::<bool>(), any::<bool>()).prop_map(|(write, mknod)| DeviceAccess {
        read: true,
        write,
        mknod,
    });
    (
        (subsequence(Capability::ALL.to_vec(), 0..6), 0..6_usize),
        (any::<bool>(), seccomp, any::<bool>(), any::<bool>()),
        btree_map(PATH, device, 0..3),
    )
        .prop_map(
            |((mut add, at), (gain, seccomp, host, read_only_root), devices)| {
                let drop = add.split_off(at.min(add.len()));
                Security {
                    add_capabilities: add,
                    drop_capabilities: drop,
                    may_gain_privileges: gain,
                    seccomp,
                    user_namespace: if host {
                        UserNamespace::Host
                    } else {
                        UserNamespace::Private
                    },
                    read_only_root,
                    devices: devices
                        .into_iter()
                        .map(|(path, access)| DeviceSpec { path, access })
                        .collect(),
                }
            },
        )
}

fn volumes() -> impl Strategy<Value = Vec<VolumeSpec>> {
    let propagation = select(vec![
        Propagation::Private,
        Propagation::HostToContainer,
        Propagation::Bidirectional,
    ]);
    let source = prop_oneof![
        (PATH, propagation).prop_map(|(path, propagation)| VolumeSource::HostPath { path, propagation }),
        "[a-z]{1,5}(/[a-z]{1,5})?".prop_map(|path| VolumeSource::Sandbox { path }),
        OBJECT.prop_map(|name| VolumeSource::Group { name }),
        option::of(1..u64::MAX).prop_map(|size| VolumeSource::Tmpfs { size }),
        OBJECT.prop_map(|name| VolumeSource::Secret { name }),
        image().prop_map(VolumeSource::Image),
    ];
    btree_map(PATH, (source, any::<bool>()), 0..4).prop_map(|volumes| {
        let volumes = volumes
            .into_iter()
            .map(|(container_path, (source, read_only))| VolumeSpec {
                container_path,
                source,
                read_only,
            });
        volumes.collect()
    })
}

/// Every mapping has a port of the host, so that no resource is needed for it.
fn ports() -> impl Strategy<Value = Vec<PortMapping>> {
    btree_map(1..u16::MAX, (option::of("[a-z]{1,5}"), any::<bool>()), 0..4).prop_map(|ports| {
        let ports = ports.into_iter().map(|(port, (name, udp))| PortMapping {
            // The port makes the name unique.
            name: name.map(|name| format!("{name}{port}")).unwrap_or_default(),
            container_port: if udp { port } else { 0 },
            host_port: port,
            protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
        });
        ports.collect()
    })
}

fn network() -> impl Strategy<Value = NetworkSpec> {
    let own = prop_oneof![Just(NetworkMode::Bridge), OBJECT.prop_map(NetworkMode::Cni)];
    let rate = || option::of(1..u64::MAX);
    let hosts = vec((Just("10.0.0.1".to_owned()), "[a-z]{1,5}(\\.[a-z]{1,5})?"), 0..3);
    let dns = vec(select(vec!["::1".to_owned(), "9.9.9.9".to_owned()]), 0..3);
    let common = (ports(), hosts, dns);
    (
        prop_oneof![Just(NetworkMode::Host), Just(NetworkMode::None), own],
        rate(),
        rate(),
        common,
    )
        .prop_map(|(mode, egress, ingress, (ports, hosts, dns))| {
            let limited = matches!(mode, NetworkMode::Bridge | NetworkMode::Cni(_));
            NetworkSpec {
                ports: if mode == NetworkMode::None {
                    Vec::new()
                } else {
                    ports
                },
                egress_kbps: egress.filter(|_| limited),
                ingress_kbps: ingress.filter(|_| limited),
                mode,
                hosts,
                dns,
            }
        })
}

fn fetches() -> impl Strategy<Value = Vec<Fetch>> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let one = (option::of("[0-9a-f]{64}"), any::<bool>(), flags);
    btree_map("[a-z]{1,8}", one, 0..3).prop_map(|fetches| {
        let fetches = fetches
            .into_iter()
            .map(|(name, (sha256, elsewhere, flags))| Fetch {
                uri: format!("https://x.org/{name}?q"),
                sha256,
                destination: elsewhere.then(|| format!("in/{name}")),
                executable: flags.0 && !flags.1,
                extract: flags.1,
                cache: flags.2,
            });
        fetches.collect()
    })
}

fn check() -> impl Strategy<Value = Check> {
    let port = || (1..u16::MAX).prop_map(PortRef::Number);
    let kind = prop_oneof![
        vec(word(), 1..3).prop_map(CheckKind::Command),
        (port(), PATH, any::<bool>()).prop_map(|(port, path, tls)| CheckKind::Http { port, path, tls }),
        port().prop_map(|port| CheckKind::Tcp { port }),
        (port(), TEXT).prop_map(|(port, service)| CheckKind::Grpc { port, service }),
    ];
    let time = |least| (least..24 * 3_600_000_u64).prop_map(Duration::from_millis);
    (kind, time(0), time(1), time(1), time(0), 1..u32::MAX).prop_map(
        |(kind, delay, interval, timeout, grace, failures)| Check {
            kind,
            delay,
            interval,
            timeout,
            grace,
            failures,
        },
    )
}

fn restart() -> impl Strategy<Value = RestartPolicy> {
    let on = select(vec![RestartOn::Failure, RestartOn::Always]);
    let policy = (on, option::of(any::<u32>()), option::of(1..300_000_u64));
    option::of(policy).prop_map(|policy| match policy {
        None => RestartPolicy::default(),
        Some((on, max, backoff)) => RestartPolicy {
            on,
            max,
            backoff: backoff.map(Duration::from_millis),
        },
    })
}

fn logs() -> impl Strategy<Value = LogSettings> {
    (option::of(4096..u64::MAX), option::of(1..=100_u32))
        .prop_map(|(max_bytes, files)| LogSettings { max_bytes, files })
}

fn retention() -> impl Strategy<Value = Retention> {
    let span = || option::of((0..u64::MAX).prop_map(Duration::from_millis));
    (span(), span()).prop_map(|(finished, failed)| Retention { finished, failed })
}

/// The health check asks a port by its name where there is a port with one.
fn by_name(mut check: Check, ports: &[PortMapping]) -> Check {
    let named = ports
        .iter()
        .find(|port| !port.name.is_empty() && port.protocol == Protocol::Tcp);
    if let (CheckKind::Tcp { port }, Some(named)) = (&mut check.kind, named) {
        *port = PortRef::Name(named.name.clone());
    }
    check
}

fn env() -> impl Strategy<Value = (BTreeMap<String, String>, BTreeMap<String, String>)> {
    (
        btree_map("[A-Z_]{1,8}", TEXT, 0..4),
        btree_map("[a-z]{1,8}", OBJECT, 0..3),
    )
}

/// Configs that are used, and for each perhaps files and variables.
fn configs() -> impl Strategy<Value = (Vec<ConfigUse>, Vec<VolumeSpec>, Vec<ConfigVariables>, String)> {
    let on_change = prop_oneof![
        Just(OnChange::Restart),
        Just(OnChange::Update),
        select(vec![ReloadSignal::Hup, ReloadSignal::Usr1, ReloadSignal::Usr2]).prop_map(OnChange::Signal),
        Just(OnChange::Keep),
    ];
    let files = (btree_map("[a-z]{1,4}", "[a-z.]{0,2}x", 0..2), 1..=0o777_u32);
    let variables = (option::of("[a-z.]{0,3}y"), "[A-Z]{1,3}");
    let one = (on_change, option::of(files), option::of(variables));
    (
        btree_map("[a-z]{1,4}(\\.[a-z]{1,3})?", one, 0..4),
        "[a-f0-9]{0,32}",
    )
        .prop_map(|(configs, token)| {
            let (mut uses, mut volumes, mut env) = (Vec::new(), Vec::new(), Vec::new());
            for (nth, (name, (on_change, files, variables))) in configs.into_iter().enumerate() {
                volumes.extend(files.map(|(items, mode)| {
                    VolumeSpec {
                        container_path: format!("/configs/{nth}"),
                        read_only: true,
                        source: VolumeSource::Config(ConfigFiles {
                            config: name.clone(),
                            // Names of files are unique by the number.
                            items: items
                                .into_iter()
                                .enumerate()
                                .map(|(nth, (key, file))| (key, format!("{nth}{file}")))
                                .collect(),
                            mode,
                        }),
                    }
                }));
                let config = name.clone();
                env.extend(variables.map(|(key, variable)| match key {
                    // Lower-case letters are the prefix of other variables, digits of none.
                    Some(key) => ConfigVariables::One {
                        config,
                        key: key.replace("..", "a"),
                        variable: format!("{nth}{variable}"),
                    },
                    None => ConfigVariables::All {
                        config,
                        prefix: variable,
                    },
                }));
                uses.push(ConfigUse { name, on_change });
            }
            let token = if uses.is_empty() { String::new() } else { token };
            (uses, volumes, env, token)
        })
}

/// Boxed, part by part: as one type it would not fit on a stack.
pub(super) fn container() -> BoxedStrategy<ContainerSpec> {
    (
        (
            vec(word(), 1..4),
            vec(word(), 0..3),
            option::of(image()).boxed(),
            env(),
        ),
        (
            option::of("/[a-z/]{0,10}"),
            option::of("[a-z0-9]{1,4}(:[a-z]{1,4})?"),
            vec(0..u32::MAX, 0..3),
        ),
        (
            option::of(1..u64::MAX),
            rlimits().boxed(),
            cgroup().boxed(),
            security().boxed(),
        ),
        (
            volumes().boxed(),
            network().boxed(),
            fetches().boxed(),
            option::of(check()).boxed(),
            option::of(check()).boxed(),
        ),
        (
            restart().boxed(),
            logs(),
            any::<bool>(),
            any::<bool>(),
            retention(),
        ),
        configs().boxed(),
    )
        .prop_map(|(what, who, limits, given, life, configs)| ContainerSpec {
            // With an image the command may be left to it.
            command: if what.2.is_some() && life.2 {
                Vec::new()
            } else {
                what.0
            },
            arguments: what.1,
            image: what.2,
            env: what.3.0,
            secret_env: what.3.1,
            working_directory: who.0,
            user: who.1,
            supplementary_groups: who.2,
            pids_limit: limits.0,
            rlimits: limits.1,
            cgroup: limits.2,
            security: limits.3,
            health: given.3.map(|check| by_name(check, &given.1.ports)),
            readiness: given.4,
            volumes: given.0.into_iter().chain(configs.1).collect(),
            network: given.1,
            fetch: given.2,
            restart: life.0,
            logs: life.1,
            tty: life.2,
            stdin: life.3,
            retention: life.4,
            configs: configs.0,
            config_env: configs.2,
            config_token: configs.3,
        })
        .boxed()
}
