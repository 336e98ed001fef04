//! The catalog by frames, and against a plain map.

use proptest::prelude::*;

use super::*;

fn service(name: &str, ids: std::ops::Range<u32>) -> DiscoveredService {
    let endpoint = |id: u32| proffer_types::discovery::Endpoint {
        id: format!("{name}-{id}").into(),
        address: std::net::Ipv4Addr::from_bits(id).into(),
        ports: Vec::new(),
        weight: 1,
        agent_id: None,
        probe: false,
    };
    DiscoveredService {
        name: full(name),
        virtual_address: None,
        ports: Vec::new(),
        endpoints: ids.map(endpoint).collect(),
        network: Default::default(),
    }
}

fn full(name: &str) -> ServiceName {
    ServiceName {
        namespace: "default".parse().unwrap(),
        name: name.parse().unwrap(),
    }
}

fn frame(services: Vec<(DiscoveredService, bool)>, removed: &[&str], complete: bool) -> Frame {
    Frame {
        services,
        removed: removed.iter().map(|name| full(name)).collect(),
        network: None,
        complete,
    }
}

fn known(catalog: &Catalog) -> String {
    let one = |service: &Arc<DiscoveredService>| format!("{}:{}", service.name.name, service.endpoints.len());
    catalog.services().values().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_is_known_stays_until_a_new_stream_has_told_all() {
    let mut catalog = Catalog::new();
    catalog.begin();
    assert_eq!(
        catalog.apply(frame(vec![(service("a", 0..1), false)], &[], false)),
        Ok(false)
    );
    assert!(!catalog.is_complete());
    assert_eq!(
        catalog.apply(frame(vec![(service("b", 0..2), false)], &[], true)),
        Ok(true)
    );
    assert_eq!(known(&catalog), "a:1 b:2");
    assert_eq!(
        catalog.apply(frame(vec![(service("c", 0..1), false)], &["a", "x"], false)),
        Ok(true)
    );
    assert_eq!(known(&catalog), "b:2 c:1");

    catalog.begin();
    assert_eq!(
        catalog.apply(frame(vec![(service("d", 0..1), false)], &[], false)),
        Ok(false)
    );
    assert_eq!(known(&catalog), "b:2 c:1");
    // That stream broke, and the next begins at nothing.
    catalog.begin();
    assert_eq!(catalog.apply(frame(Vec::new(), &[], true)), Ok(true));
    assert_eq!(known(&catalog), "");
}

#[test]
fn a_service_in_parts_is_taken_over_with_its_last_part() {
    let mut catalog = Catalog::new();
    catalog.begin();
    catalog.apply(frame(Vec::new(), &[], true)).unwrap();
    catalog
        .apply(frame(vec![(service("a", 0..3), true)], &[], false))
        .unwrap();
    assert_eq!(known(&catalog), "");
    catalog
        .apply(frame(vec![(service("a", 3..5), false)], &[], false))
        .unwrap();
    assert_eq!(known(&catalog), "a:5");
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut catalog = Catalog::new();
    catalog.begin();
    catalog
        .apply(frame(vec![(service("a", 0..1), false)], &[], true))
        .unwrap();
    let before = known(&catalog);
    let many = (0..=MAX_SERVICES).map(|n| (service(&format!("s{n}"), 0..0), false));
    assert_eq!(
        catalog.apply(frame(many.collect(), &["a"], false)),
        Err(CatalogError::TooManyServices)
    );
    let large = u32::try_from(MAX_ENDPOINTS).unwrap();
    let large = frame(vec![(service("b", 0..large), false)], &[], false);
    assert_eq!(catalog.apply(large), Err(CatalogError::TooManyEndpoints));
    let twice = frame(
        vec![(service("b", 0..2), true), (service("b", 1..3), false)],
        &[],
        false,
    );
    assert!(matches!(
        catalog.apply(twice),
        Err(CatalogError::DuplicateEndpoint(..))
    ));
    let other = frame(
        vec![(service("b", 0..2), true), (service("c", 1..3), false)],
        &[],
        false,
    );
    assert_eq!(catalog.apply(other), Err(CatalogError::MissingPart(full("b"))));
    let unfinished = frame(vec![(service("b", 0..2), true)], &[], true);
    assert_eq!(
        catalog.apply(unfinished),
        Err(CatalogError::MissingPart(full("b")))
    );
    assert_eq!(known(&catalog), before);
}

proptest! {
    #[test]
    fn the_catalog_is_the_map_of_what_was_told(changes in prop::collection::vec((0u32..6, prop::option::of(0u32..4)), 0..40)) {
        let mut catalog = Catalog::new();
        catalog.begin();
        catalog.apply(frame(Vec::new(), &[], true)).unwrap();
        let mut model = BTreeMap::new();
        for (name, size) in changes {
            let name = format!("s{name}");
            let change = match size {
                Some(size) => {
                    model.insert(name.clone(), size);
                    frame(vec![(service(&name, 0..size), false)], &[], false)
                }
                None => {
                    model.remove(&name);
                    frame(Vec::new(), &[&name], false)
                }
            };
            catalog.apply(change).unwrap();
        }
        let model: Vec<String> = model.iter().map(|(name, size)| format!("{name}:{size}")).collect();
        prop_assert_eq!(known(&catalog), model.join(" "));
    }
}
