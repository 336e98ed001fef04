//! Containers on the bridge, and the ports that lead to them.

use std::net::{Ipv4Addr, TcpListener};

use proffer_linux::netns;
use proffer_network::{AttachError, Config, Mode, Networks, Transport};

use crate::world::{HOST, World, address, echo, echoes, in_own_network, port, run, says_hello, serve};

#[test]
fn a_published_port_is_reached_from_other_hosts_from_its_own_and_from_containers() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let ports = [port(31000, 80, Transport::Tcp), port(31000, 53, Transport::Udp)];
        let server = networks
            .attach(world.request("server", Mode::Bridge, &ports))
            .await
            .unwrap();
        let client = networks
            .attach(world.request("client", Mode::Bridge, &[]))
            .await
            .unwrap();
        assert_eq!(address(&server).to_string(), "10.88.0.2");
        serve(&world.netns("server"), 80);
        echo(&world.netns("server"), 53);

        assert!(world.outside_reaches(31000), "another host");
        for of_host in [HOST, Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 88, 0, 1)] {
            assert!(
                says_hello((of_host, 31000).into()),
                "the host itself by {of_host}"
            );
            assert!(
                echoes((of_host, 31000).into()),
                "the host itself by {of_host}, udp"
            );
        }
        for container in ["netns-client", "netns-server"] {
            assert!(
                world.reaches(container, (HOST, 31000).into()),
                "{container} by way of the host"
            );
        }
        assert!(
            world.reaches("netns-client", (address(&server), 80).into()),
            "a container by address"
        );
        assert!(
            netns::run_in(&world.path("outside"), || echoes((HOST, 31000).into())).unwrap(),
            "udp"
        );

        // Out, with the host's address: the other host has no route back to the bridge.
        serve(&world.path("outside"), 8080);
        assert!(
            world.reaches("netns-client", ([192, 0, 2, 9], 8080).into()),
            "from a container to another host"
        );
        // What listens on the host's loopback is the host's alone.
        let local = TcpListener::bind("127.0.0.1:8081").unwrap();
        assert!(!world.reaches("netns-client", ([10, 88, 0, 1], 8081).into()));
        drop((local, client));

        networks.detach("server").await.unwrap();
        assert!(!world.outside_reaches(31000), "it is gone");
        networks.detach("server").await.unwrap();
        networks.detach("client").await.unwrap();
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_port_is_published_once_and_only_where_the_host_does_not_use_it() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let program = TcpListener::bind("0.0.0.0:31001").unwrap();
        let wanted = [port(31001, 80, Transport::Tcp)];
        let error = networks
            .attach(world.request("a", Mode::Bridge, &wanted))
            .await
            .unwrap_err();
        assert!(
            matches!(error, AttachError::PortInUse { port: 31001, .. }),
            "{error}"
        );
        drop(program);
        networks
            .attach(world.request("a", Mode::Bridge, &wanted))
            .await
            .unwrap();
        let error = networks
            .attach(world.request("b", Mode::Bridge, &wanted))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "tcp port 31001 of the host is published by container `a` already"
        );
        let udp = [port(31001, 80, Transport::Udp)];
        networks
            .attach(world.request("b", Mode::Bridge, &udp))
            .await
            .unwrap();
        let elements = run("nft", &["list", "map", "inet", "proffer_0000abcd", "ports"]);
        assert_eq!(elements.matches(" . 31001 : ").count(), 2, "{elements}");
        for member in ["a", "b"] {
            networks.detach(member).await.unwrap();
        }
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn the_members_of_a_group_share_one_network_until_the_last_one_leaves() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let member =
            |id: &str, host| world.member("g1", id, Mode::Bridge, &[port(host, host, Transport::Tcp)]);
        let first = networks.attach(member("a", 31000)).await.unwrap();
        let second = networks.attach(member("b", 31001)).await.unwrap();
        assert_eq!(first, second);
        for at in [31000, 31001] {
            serve(&world.netns("g1"), at);
            assert!(world.outside_reaches(at));
        }
        let other = networks
            .attach(world.member("g1", "c", Mode::None, &[]))
            .await
            .unwrap_err();
        assert!(matches!(other, AttachError::Mismatch { .. }), "{other}");
        networks.detach("a").await.unwrap();
        assert!(!world.outside_reaches(31000));
        assert!(world.outside_reaches(31001));
        networks.detach("b").await.unwrap();
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_network_of_its_own_without_the_bridge_reaches_nothing() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let none = networks
            .attach(world.request("a", Mode::None, &[]))
            .await
            .unwrap();
        assert_eq!(none.addresses, Vec::<std::net::IpAddr>::new());
        serve(&world.netns("a"), 80);
        assert!(world.reaches("netns-a", (Ipv4Addr::LOCALHOST, 80).into()));
        assert!(!world.reaches("netns-a", (HOST, 80).into()));
        networks.detach("a").await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn what_the_host_lacks_is_said_and_nothing_is_left_of_the_attempt() {
    in_own_network(|world| async move {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        let networks = world.networks(&[]).await;
        let error = networks
            .attach(world.request("a", Mode::Bridge, &[]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("--set-ip-forward"), "{error}");
        assert_eq!(world.traces(), [].into());

        let taken = Config {
            bridge_subnet: "192.0.0.0/16".parse().unwrap(),
            set_ip_forward: true,
            ..world.config()
        };
        let networks = Networks::open(taken).await.unwrap();
        let error = networks
            .attach(world.request("a", Mode::Bridge, &[]))
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "the bridge's subnet 192.0.0.0/16 overlaps 192.0.2.1/24 of interface `up0`: choose another with --bridge-subnet"
        );
        assert_eq!(
            std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap(),
            "1\n"
        );
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn five_addresses_are_enough_for_five_containers_and_a_sixth_is_refused() {
    in_own_network(|world: World| async move {
        let small = Config {
            bridge_subnet: "10.9.0.0/29".parse().unwrap(),
            ..world.config()
        };
        let networks = Networks::open(small).await.unwrap();
        for nth in 0..5 {
            networks
                .attach(world.request(&format!("c{nth}"), Mode::Bridge, &[]))
                .await
                .unwrap();
        }
        let error = networks
            .attach(world.request("c5", Mode::Bridge, &[]))
            .await
            .unwrap_err();
        assert!(matches!(error, AttachError::NoAddress(_)), "{error}");
        networks.detach("c3").await.unwrap();
        networks
            .attach(world.request("c5", Mode::Bridge, &[]))
            .await
            .unwrap();
        for nth in [0, 1, 2, 4, 5] {
            networks.detach(&format!("c{nth}")).await.unwrap();
        }
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}
