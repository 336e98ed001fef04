//! What peers must not say sets resources apart, and what they are told.

use proffer_types::Resources;
use proffer_wire::v1;

#[test]
fn what_sets_resources_apart_is_checked() {
    let reserved = |roles: &[(&str, bool)]| v1::Resource {
        reservations: roles
            .iter()
            .map(|(role, is_static)| v1::Reservation {
                role: (*role).to_owned(),
                is_static: *is_static,
                ..Default::default()
            })
            .collect(),
        name: "cpus".to_owned(),
        value: Some(v1::resource::Value::Scalar(1.0)),
        ..Default::default()
    };
    let volume = |id: &str, path: &str| v1::Resource {
        name: "disk".to_owned(),
        volume: Some(v1::Volume {
            volume_id: id.to_owned(),
            container_path: path.to_owned(),
            shared: false,
        }),
        ..reserved(&[("a", false)])
    };
    let refusal = |items| {
        let refused = Resources::try_from(v1::Resources { items });
        refused.unwrap_err().to_string()
    };
    let mut revocable = reserved(&[("a", false)]);
    revocable.revocable = true;
    let mut unreserved = volume("v", "/v");
    unreserved.reservations.clear();
    let mut labelled = reserved(&[("a", false)]);
    labelled.reservations[0].labels = (0..17).map(|n| (n.to_string(), String::new())).collect();
    let many = (0..65).map(|n| reserved(&[(&format!("r{n}"), false)])).collect();
    let refused: Vec<_> = [
        vec![reserved(&[("a", true)]), reserved(&[("a", true)])],
        vec![reserved(&[("*", false)])],
        vec![reserved(&[("a", false), ("a", false)])],
        vec![reserved(&[("a", false), ("a/b", true)])],
        vec![reserved(&[("a//b", false)])],
        vec![reserved(&[("a", false); 9])],
        vec![revocable],
        vec![labelled],
        vec![unreserved],
        vec![volume("v", "v")],
        vec![volume("v/w", "/v")],
        vec![volume("v", "/v"), volume("v", "/w")],
        vec![v1::Resource {
            name: "mem".to_owned(),
            ..volume("v", "/v")
        }],
        many,
    ]
    .into_iter()
    .map(refusal)
    .collect();
    let expected = [
        "cpus: is given twice",
        "items[0].cpus: nothing can be reserved to role `*`",
        "items[0].cpus: role `a` is not below `a`, whose reservation it would refine",
        "items[0].cpus: the reservation to `a/b` is static, but only the lowest of a stack can be",
        "items[0].reservations[0].role: role `a//b` has an empty part",
        "items[0].reservations: 9 reservations, at most 8 are allowed",
        "items[0].cpus: revocable resources cannot be reserved",
        "items[0].reservations[0].labels: 17 labels, at most 16 are allowed",
        "items[0].disk: volume `v` is on disk that is not reserved",
        "items[0].disk: container path `v` of volume `v` is not absolute",
        "items[0].volume.volume_id: volume id `v/w` must not contain `/`",
        "items: volume `v` is there twice",
        "items: volume `v` must be disk and nothing else",
        "items: more than 64 kinds of resources in one bundle",
    ];
    assert_eq!(refused, expected);
}
