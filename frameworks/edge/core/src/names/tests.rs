//! Questions and their answers.

use std::num::NonZeroU16;
use std::sync::Arc;

use expect_test::{Expect, expect};
use proffer_types::discovery::{BalancePolicy, OutlierDetection};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

fn port(name: &str, number: u16, protocol: PortProtocol) -> DiscoveredPort {
    DiscoveredPort {
        name: Some(name.parse().unwrap()),
        number: NonZeroU16::new(number).unwrap(),
        protocol,
        published: None,
        policy: BalancePolicy::RoundRobin,
        retries: 0,
        outlier: OutlierDetection::default(),
    }
}

fn endpoint(address: &str, ports: &[(&str, u16)]) -> Endpoint {
    let port =
        |(name, number): &(&str, u16)| (Some(name.parse().unwrap()), NonZeroU16::new(*number).unwrap());
    Endpoint {
        id: address.into(),
        address: address.parse().unwrap(),
        ports: ports.iter().map(port).collect(),
        weight: 1,
        agent_id: None,
        probe: false,
    }
}

fn services() -> Services {
    let service = |namespace: &str, name: &str, endpoints: Vec<Endpoint>| DiscoveredService {
        name: ServiceName {
            namespace: namespace.parse().unwrap(),
            name: name.parse().unwrap(),
        },
        virtual_address: endpoints.first().map(|_| Ipv4Addr::new(10, 96, 0, 1)),
        ports: vec![
            port("http", 80, PortProtocol::Http),
            port("dns", 53, PortProtocol::Udp),
        ],
        endpoints,
        network: Default::default(),
    };
    let all = [
        service(
            "default",
            "web",
            vec![
                endpoint("10.0.0.1", &[("http", 8080), ("dns", 5353)]),
                endpoint("10.0.0.2", &[("http", 31000)]),
                endpoint("fd00::1", &[("http", 8080)]),
            ],
        ),
        service("shop", "db", vec![endpoint("10.0.0.9", &[("http", 1)])]),
        service("default", "idle", Vec::new()),
    ];
    all.into_iter()
        .map(|service| (service.name.clone(), Arc::new(service)))
        .collect()
}

fn ask_in(services: &Services, name: &str, kind: Kind) -> Answer {
    let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
    let is_up = |_: &DiscoveredService, endpoint: &Endpoint| *endpoint.id != *"10.0.0.66";
    answer(services, &labels, kind, is_up, &mut ChaCha8Rng::seed_from_u64(1))
}

/// The answer as text, its records in order.
fn ask(name: &str, kind: Kind) -> String {
    let line = |record: &Record| match &record.data {
        Data::Address(address) => format!("{} {address}", record.name),
        Data::Srv { weight, port, target } => format!("{} SRV {weight} {port} {target}", record.name),
    };
    let lines = |records: &[Record]| {
        let mut lines: Vec<String> = records.iter().map(line).collect();
        lines.sort();
        lines.join("\n")
    };
    match ask_in(&services(), name, kind) {
        Answer::Records { answers, additionals } if additionals.is_empty() => lines(&answers),
        Answer::Records { answers, additionals } => {
            format!("{}\n+\n{}", lines(&answers), lines(&additionals))
        }
        other @ (Answer::Soa | Answer::NoData | Answer::NxDomain | Answer::Refused) => format!("{other:?}"),
    }
}

#[track_caller]
fn check(questions: &[(&str, Kind)], expected: &Expect) {
    let one = |(name, kind): &(&str, Kind)| format!("? {name} {kind:?}\n{}\n", ask(name, *kind));
    expected.assert_eq(&questions.iter().map(one).collect::<String>());
}

#[test]
fn a_service_is_found_by_its_names() {
    check(
        &[
            ("web.service.proffer", Kind::A),
            ("web.default.service.proffer", Kind::Aaaa),
            ("db.shop.service.proffer", Kind::A),
            ("web.service.proffer", Kind::Srv),
            ("_http._tcp.web.service.proffer", Kind::Srv),
            ("_dns._udp.web.default.service.proffer", Kind::Srv),
            ("0a000001.addr.proffer", Kind::A),
            ("web.virtual.proffer", Kind::A),
            ("db.shop.virtual.proffer", Kind::A),
            ("_http._tcp.web.virtual.proffer", Kind::Srv),
            ("proffer", Kind::Soa),
        ],
        &expect![[r#"
            ? web.service.proffer A
            web.service.proffer 10.0.0.1
            web.service.proffer 10.0.0.2
            ? web.default.service.proffer Aaaa
            web.default.service.proffer fd00::1
            ? db.shop.service.proffer A
            db.shop.service.proffer 10.0.0.9
            ? web.service.proffer Srv
            web.service.proffer SRV 1 31000 0a000002.addr.proffer
            web.service.proffer SRV 1 5353 0a000001.addr.proffer
            web.service.proffer SRV 1 8080 0a000001.addr.proffer
            web.service.proffer SRV 1 8080 fd000000000000000000000000000001.addr.proffer
            +
            0a000001.addr.proffer 10.0.0.1
            0a000002.addr.proffer 10.0.0.2
            fd000000000000000000000000000001.addr.proffer fd00::1
            ? _http._tcp.web.service.proffer Srv
            _http._tcp.web.service.proffer SRV 1 31000 0a000002.addr.proffer
            _http._tcp.web.service.proffer SRV 1 8080 0a000001.addr.proffer
            _http._tcp.web.service.proffer SRV 1 8080 fd000000000000000000000000000001.addr.proffer
            +
            0a000001.addr.proffer 10.0.0.1
            0a000002.addr.proffer 10.0.0.2
            fd000000000000000000000000000001.addr.proffer fd00::1
            ? _dns._udp.web.default.service.proffer Srv
            _dns._udp.web.default.service.proffer SRV 1 5353 0a000001.addr.proffer
            +
            0a000001.addr.proffer 10.0.0.1
            ? 0a000001.addr.proffer A
            0a000001.addr.proffer 10.0.0.1
            ? web.virtual.proffer A
            web.virtual.proffer 10.96.0.1
            ? db.shop.virtual.proffer A
            db.shop.virtual.proffer 10.96.0.1
            ? _http._tcp.web.virtual.proffer Srv
            _http._tcp.web.virtual.proffer SRV 1 80 0a600001.addr.proffer
            +
            0a600001.addr.proffer 10.96.0.1
            ? proffer Soa
            Soa
        "#]],
    );
}

#[test]
fn names_that_are_not_there_differ_from_those_without_such_a_record() {
    for no_data in [
        ("proffer", Kind::A),
        ("service.proffer", Kind::A),
        ("idle.service.proffer", Kind::A),
        ("idle.virtual.proffer", Kind::A),
        ("web.virtual.proffer", Kind::Aaaa),
        ("web.service.proffer", Kind::Other),
        ("_http._tcp.web.service.proffer", Kind::A),
        ("_tcp.web.service.proffer", Kind::Srv),
        ("shop.service.proffer", Kind::A),
        ("0a000001.addr.proffer", Kind::Aaaa),
    ] {
        assert_eq!(ask(no_data.0, no_data.1), "NoData", "{no_data:?}");
    }
    for missing in [
        "x.service.proffer",
        "web.shop.service.proffer",
        "a.web.default.service.proffer",
        "_x._tcp.web.service.proffer",
        "_http._udp.web.service.proffer",
        "_a._http._tcp.web.service.proffer",
        "web.services.proffer",
        "web.proffer",
        "0a00000.addr.proffer",
        "+a000001.addr.proffer",
        "_http.service.proffer",
    ] {
        assert_eq!(ask(missing, Kind::A), "NxDomain", "{missing}");
        assert_eq!(ask(missing, Kind::Srv), "NxDomain", "{missing}");
    }
    for foreign in ["example.org", "", "proffer.org", "service"] {
        assert_eq!(ask(foreign, Kind::A), "Refused", "{foreign:?}");
    }
}

#[test]
fn an_endpoint_that_is_down_is_not_told_of() {
    let mut services = services();
    for service in services.values_mut() {
        Arc::make_mut(service)
            .endpoints
            .push(endpoint("10.0.0.66", &[("http", 1)]));
    }
    let Answer::Records { answers, .. } = ask_in(&services, "web.service.proffer", Kind::A) else {
        panic!("no records")
    };
    assert_eq!(answers.len(), 2);
    assert_eq!(ask_in(&services, "idle.service.proffer", Kind::A), Answer::NoData);
}

#[test]
fn a_large_service_is_answered_in_part_and_each_time_in_another_order() {
    let mut services = services();
    for service in services.values_mut() {
        let address = |n: u32| endpoint(&Ipv4Addr::from_bits(0x0a01_0000 + n).to_string(), &[("http", 1)]);
        Arc::make_mut(service).endpoints = (0..2000).map(address).collect();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut first = |kind| match answer(&services, &["web", "service", ZONE], kind, |_, _| true, &mut rng) {
        Answer::Records { answers, .. } => {
            assert_eq!(answers.len(), MAX_ANSWERS);
            answers[0].clone()
        }
        Answer::Soa | Answer::NoData | Answer::NxDomain | Answer::Refused => panic!("no records"),
    };
    assert_ne!(first(Kind::A), first(Kind::A));
    assert_ne!(first(Kind::Srv), first(Kind::Srv));
}

proptest! {
    #[test]
    fn any_name_has_an_answer(
        labels in prop::collection::vec("[a-z_0-9-]{0,4}|web|service|proffer|virtual|addr|_tcp|_http|é|default", 0..7)
    ) {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let services = services();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let found = answer(&services, &labels, Kind::Srv, |_, _| true, &mut rng);
        prop_assert_eq!(found == Answer::Refused, labels.last() != Some(&ZONE));
    }
}
