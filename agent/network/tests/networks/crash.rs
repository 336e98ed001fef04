//! An agent that was killed, and the one that starts after it.

use std::fs;

use proffer_linux::netns;
use proffer_network::{Config, Mode, Networks, OpenError, Transport};

use crate::world::{address, in_own_network, ip, port, run, serve};

#[test]
fn the_networks_of_known_containers_go_on_and_all_others_are_removed() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        for (id, host) in [("stays", 31000), ("goes", 31001)] {
            let ports = [port(host, 80, Transport::Tcp)];
            networks
                .attach(world.request(id, Mode::Bridge, &ports))
                .await
                .unwrap();
            serve(&world.netns(id), 80);
        }
        networks
            .attach(world.member("g1", "m1", Mode::None, &[]))
            .await
            .unwrap();
        networks
            .attach(world.member("g1", "m2", Mode::None, &[]))
            .await
            .unwrap();
        // Killed: nothing is told of it. Meanwhile an operator's firewall was loaded anew, one record was damaged, and
        // one interface is left of a container whose record is gone.
        drop(networks);
        assert!(world.outside_reaches(31001));
        run("nft", &["flush", "ruleset"]);
        fs::write(world.path("records/goes.json"), "{").unwrap();
        ip(&[
            "link",
            "add",
            "p0000abcd00ffff",
            "master",
            "pf0000abcd",
            "type",
            "veth",
            "peer",
            "name",
            "stray",
        ]);

        let networks = world.networks(&["stays", "m2"]).await;
        assert!(world.outside_reaches(31000));
        assert!(!world.outside_reaches(31001));
        // What a record said is lost with it; its container's scratch directory goes, and the namespace with it.
        netns::remove(&world.netns("goes")).unwrap();
        let left = [
            "g1.json",
            "netns-g1",
            "netns-stays",
            "p0000abcd000002",
            "pf0000abcd",
            "stays.json",
            "table inet proffer_0000abcd",
        ];
        assert_eq!(world.traces(), left.map(str::to_owned).into());
        // Its address is not given to another one.
        let next = networks
            .attach(world.request("next", Mode::Bridge, &[]))
            .await
            .unwrap();
        assert_eq!(address(&next).to_string(), "10.88.0.3");
        networks.detach("m2").await.unwrap();
        drop(networks);

        world.networks(&[]).await;
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_removal_that_was_cut_short_is_finished() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        let ports = [port(31000, 80, Transport::Tcp)];
        for id in ["a", "b", "c"] {
            let ports = if id == "a" { &ports[..] } else { &[] };
            networks
                .attach(world.request(id, Mode::Bridge, ports))
                .await
                .unwrap();
        }
        drop(networks);
        // At each of the steps of a removal.
        run(
            "nft",
            &[
                "delete",
                "element",
                "inet",
                "proffer_0000abcd",
                "ports",
                "{ tcp . 31000 }",
            ],
        );
        ip(&["link", "del", "p0000abcd000003"]);
        netns::remove(&world.netns("c")).unwrap();
        world.networks(&[]).await;
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn rules_that_were_flushed_are_made_again_with_the_next_port() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        for (id, host) in [("a", 31000), ("b", 31001)] {
            run("nft", &["flush", "ruleset"]);
            let ports = [port(host, 80, Transport::Tcp)];
            networks
                .attach(world.request(id, Mode::Bridge, &ports))
                .await
                .unwrap();
            serve(&world.netns(id), 80);
        }
        assert!(world.outside_reaches(31000));
        assert!(world.outside_reaches(31001));
        run("nft", &["flush", "ruleset"]);
        networks.detach("a").await.unwrap();
        networks.detach("b").await.unwrap();
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_port_that_was_published_after_the_end_of_its_agent_is_taken_back() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        networks
            .attach(world.request("a", Mode::Bridge, &[]))
            .await
            .unwrap();
        let late = "{ tcp . 31000 : 10.88.0.99 . 80 }";
        run(
            "nft",
            &["add", "element", "inet", "proffer_0000abcd", "ports", late],
        );
        let ports = [port(31000, 80, Transport::Tcp)];
        networks
            .attach(world.request("b", Mode::Bridge, &ports))
            .await
            .unwrap();
        serve(&world.netns("b"), 80);
        assert!(world.outside_reaches(31000));
        networks.detach("a").await.unwrap();
        networks.detach("b").await.unwrap();
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn a_bridge_that_was_begun_is_completed() {
    in_own_network(|world| async move {
        ip(&["link", "add", "pf0000abcd", "type", "bridge"]);
        let networks = Networks::open(world.config()).await.unwrap();
        let ports = [port(31000, 80, Transport::Tcp)];
        networks
            .attach(world.request("a", Mode::Bridge, &ports))
            .await
            .unwrap();
        serve(&world.netns("a"), 80);
        ip(&["link", "set", "pf0000abcd", "up"]);
        assert!(world.outside_reaches(31000));
        networks.detach("a").await.unwrap();
        networks.remove_unused().await.unwrap();
        assert_eq!(world.traces(), [].into());
    });
}

#[test]
fn another_subnet_is_refused_while_the_old_one_is_in_use() {
    in_own_network(|world| async move {
        let networks = world.networks(&[]).await;
        networks
            .attach(world.request("a", Mode::Bridge, &[]))
            .await
            .unwrap();
        drop(networks);
        let other = Config {
            bridge_subnet: "10.99.0.0/16".parse().unwrap(),
            ..world.config()
        };
        let error = Networks::open(other).await.unwrap_err();
        assert!(matches!(error, OpenError::SubnetChanged { .. }), "{error}");
        world.networks(&[]).await;
        assert_eq!(world.traces(), [].into());
    });
}
