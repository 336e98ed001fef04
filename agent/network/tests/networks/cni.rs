//! Networks by CNI plugins: Debian's, and some that misbehave.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use proffer_network::{AttachError, Bandwidth, Mode, Request, Transport};

use crate::world::{World, address, in_own_network, port, run, serve};

fn configure(world: &World, name: &str, plugins: &str) {
    let dir = world.path("cni");
    fs::create_dir_all(&dir).unwrap();
    let text = format!(r#"{{ "cniVersion": "1.0.0", "name": "{name}", "plugins": [{plugins}] }}"#);
    fs::write(dir.join(format!("{name}.conflist")), text).unwrap();
}

/// A plugin that notes its calls and then does as it is told.
fn plugin(world: &World, name: &str, script: &str) {
    let dir = world.path("plugins");
    fs::create_dir_all(&dir).unwrap();
    let log = world.path("calls");
    let path = dir.join(name);
    let text = format!(
        "#!/bin/sh\ninput=$(cat)\nhas() {{ case $input in *\"$1\"*) echo \" $1\";; esac; }}\n\
         echo \"$CNI_COMMAND {name} $CNI_CONTAINERID $CNI_IFNAME$(has prevResult)\" >> {}\n{script}\n",
        log.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn calls(world: &World) -> Vec<String> {
    let log = world.path("calls");
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(log);
    text.lines().map(str::to_owned).collect()
}

const RESULT: &str = r#"echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.5.0.7/24"}], "dns": {"nameservers": ["10.5.0.1"]}}'"#;

#[test]
fn a_chain_of_debians_plugins_gives_an_address_and_published_ports() {
    in_own_network(|world| async move {
        if !Path::new("/usr/lib/cni/portmap").exists()
            || run("sh", &["-c", "command -v iptables || true"]).is_empty()
        {
            skip("no CNI plugins, or no iptables for them");
            return;
        }
        let leases = world.path("leases");
        let bridge = format!(
            r#"{{ "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "ipam": {{
                "type": "host-local", "dataDir": "{}", "ranges": [[{{ "subnet": "10.77.0.0/24" }}]], "routes": [{{ "dst": "0.0.0.0/0" }}] }} }}"#,
            leases.display()
        );
        let more = r#"{ "type": "portmap", "capabilities": { "portMappings": true } }, { "type": "bandwidth", "capabilities": { "bandwidth": true } }, { "type": "firewall" }"#;
        configure(&world, "web", &format!("{bridge}, {more}"));
        let mode = || Mode::Cni("web".to_owned());
        let networks = world.networks(&[]).await;
        let limited = Request {
            bandwidth: Bandwidth {
                egress_kbps: Some(100_000),
                ingress_kbps: Some(100_000),
            },
            ..world.request("server", mode(), &[port(31000, 80, Transport::Tcp)])
        };
        let server = networks.attach(limited).await.unwrap();
        let client = networks
            .attach(world.request("client", mode(), &[]))
            .await
            .unwrap();
        assert_eq!(address(&server).to_string(), "10.77.0.2");
        assert_eq!(address(&client).to_string(), "10.77.0.3");
        serve(&world.netns("server"), 80);
        assert!(world.outside_reaches(31000));
        assert!(world.reaches("netns-client", (address(&server), 80).into()));
        let shaped = run("tc", &["qdisc", "show"]);
        assert_eq!(shaped.matches("qdisc tbf").count(), 2, "{shaped}");

        // The agent is killed; the next one knows only one of them. The configuration is gone meanwhile.
        drop(networks);
        fs::remove_file(world.path("cni/web.conflist")).unwrap();
        let networks = world.networks(&["client"]).await;
        assert!(!world.outside_reaches(31000));
        let left: Vec<_> = fs::read_dir(leases.join("web"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(left.iter().any(|name| name == "10.77.0.3"), "{left:?}");
        assert!(!left.iter().any(|name| name == "10.77.0.2"), "{left:?}");
        networks.detach("client").await.unwrap();
        let chains = run("iptables-save", &["-t", "nat"]);
        assert!(
            !chains.contains("31000") && !chains.contains("10.77.0"),
            "{chains}"
        );
        // The bridge and its chains are the plugins' own, and stay.
        assert!(
            !world
                .traces()
                .iter()
                .any(|trace| trace.contains("netns") || trace.ends_with(".json"))
        );
    });
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn skip(why: &str) {
    println!("skipped: {why}");
}

#[test]
fn plugins_are_called_in_order_and_undone_in_reverse_with_the_last_result() {
    in_own_network(|world| async move {
        for name in ["one", "two"] {
            plugin(&world, name, RESULT);
        }
        configure(&world, "net", r#"{"type": "one"}, {"type": "two"}"#);
        let networks = world.networks(&[]).await;
        let attached = networks
            .attach(world.request("c1", Mode::Cni("net".to_owned()), &[]))
            .await
            .unwrap();
        assert_eq!(address(&attached).to_string(), "10.5.0.7");
        assert_eq!(attached.dns.nameservers, ["10.5.0.1"]);
        assert_eq!(calls(&world), ["ADD one c1 eth0", "ADD two c1 eth0 prevResult"]);
        networks.detach("c1").await.unwrap();
        assert_eq!(
            calls(&world),
            ["DEL two c1 eth0 prevResult", "DEL one c1 eth0 prevResult"]
        );
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_plugin_that_fails_or_prints_garbage_is_named_and_everything_is_undone() {
    in_own_network(|world| async move {
        plugin(&world, "good", RESULT);
        configure(&world, "net", r#"{"type": "good"}, {"type": "bad"}"#);
        let networks = world.networks(&[]).await;
        for (script, expected) in [
            (
                r#"[ $CNI_COMMAND = DEL ] || { echo '{"code": 7, "msg": "no more", "details": "really"}'; exit 1; }"#,
                "the CNI plugin `bad` failed ADD: no more (code 7); really",
            ),
            (
                "[ $CNI_COMMAND = DEL ] || { echo oh no >&2; exit 3; }",
                "the CNI plugin `bad` failed ADD: exit status: 3: oh no",
            ),
            (
                "[ $CNI_COMMAND = DEL ] || echo gibberish",
                "the CNI plugin `bad` returned no result that can be understood: expected value at line 1 column 1",
            ),
            (
                r#"[ $CNI_COMMAND = DEL ] || echo '{"ips": [{"address": "x"}]}'"#,
                "the CNI plugin `bad` returned no result that can be understood: `x` is no address",
            ),
        ] {
            plugin(&world, "bad", script);
            let error = networks
                .attach(world.request("c1", Mode::Cni("net".to_owned()), &[]))
                .await
                .unwrap_err();
            assert_eq!(error.to_string(), expected);
            let undone = ["DEL bad c1 eth0 prevResult", "DEL good c1 eth0 prevResult"];
            assert_eq!(calls(&world)[2..], undone, "{script}");
            assert_eq!(world.traces(), [].into());
        }
    });
}

#[test]
fn what_cannot_be_undone_is_remembered_until_it_can() {
    in_own_network(|world| async move {
        plugin(
            &world,
            "one",
            &format!("[ $CNI_COMMAND = ADD ] || exit 1\n{RESULT}"),
        );
        configure(&world, "net", r#"{"type": "one"}"#);
        let networks = world.networks(&[]).await;
        networks
            .attach(world.request("c1", Mode::Cni("net".to_owned()), &[]))
            .await
            .unwrap();
        let error = networks.detach("c1").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot undo network `c1`: the CNI plugin `one` failed DEL: exit status: 1"
        );
        assert_eq!(world.traces(), ["c1.json".to_owned()].into());
        drop(networks);
        plugin(&world, "one", RESULT);
        world.networks(&[]).await;
        assert_eq!(world.traces(), [].into());
        assert_eq!(calls(&world).last().unwrap(), "DEL one c1 eth0 prevResult");
    });
}

#[test]
fn what_plugins_keep_for_a_network_whose_record_is_damaged_is_undone_by_what_is_configured() {
    in_own_network(|world| async move {
        plugin(&world, "one", RESULT);
        plugin(&world, "two", RESULT);
        configure(&world, "net", r#"{"type": "one"}"#);
        configure(&world, "other", r#"{"type": "two"}"#);
        let networks = world.networks(&[]).await;
        let request = world.request("c1", Mode::Cni("net".to_owned()), &[]);
        networks.attach(request).await.unwrap();
        drop(networks);
        calls(&world);
        let record = world.path("records").join("c1.json");
        fs::write(&record, "half").unwrap();

        plugin(&world, "one", "exit 1");
        let networks = world.networks(&["c1"]).await;
        assert_eq!(calls(&world), ["DEL one c1 eth0", "DEL two c1 eth0"]);
        assert!(record.exists());
        drop(networks);

        plugin(&world, "one", RESULT);
        world.networks(&["c1"]).await;
        assert_eq!(calls(&world), ["DEL one c1 eth0", "DEL two c1 eth0"]);
        assert!(!record.exists());
    });
}

#[test]
fn what_a_network_lacks_is_said_before_anything_is_done() {
    in_own_network(|world| async move {
        plugin(&world, "one", RESULT);
        configure(&world, "net", r#"{"type": "one"}"#);
        configure(&world, "lost", r#"{"type": "missing"}"#);
        configure(&world, "sly", r#"{"type": "../../bin/sh"}"#);
        fs::write(world.path("cni/broken.conf"), "{").unwrap();
        let networks = world.networks(&[]).await;
        let ports = [port(31000, 80, Transport::Tcp)];
        for (name, ports, expected) in [
            (
                "net",
                &ports[..],
                "has no plugin with the capability `portMappings`",
            ),
            ("none", &[], "; there are: lost, net, sly"),
            ("lost", &[], "the CNI plugin `missing` is not in "),
            ("sly", &[], "`../../bin/sh` is no name of a plugin"),
        ] {
            let error = networks
                .attach(world.request("c1", Mode::Cni(name.to_owned()), ports))
                .await
                .unwrap_err();
            assert!(
                matches!(error, AttachError::Cni(_)) && error.to_string().contains(expected),
                "{error}"
            );
        }
        assert_eq!(calls(&world), Vec::<String>::new());
        assert_eq!(world.traces(), [].into());
    });
}
