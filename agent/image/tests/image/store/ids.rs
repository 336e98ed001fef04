//! Whose files those of layers are, where mounts cannot map ids.

use proffer_image::{LayerForm, OpenError};

use super::*;

#[tokio::test]
async fn layers_have_the_ids_of_an_agents_tasks_and_are_no_other_agents() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let mut layout = place.layout();
    let manifest = layout.manifest(&[layer("a")], &json!({}));
    layout.tag(manifest, "1");
    let shifted = LayerForm::Shifted {
        first: 7000,
        count: 10,
    };
    let store = place.store_with(|config| config.form = shifted);
    let image = get(&store, &layout.reference("1"), None).await.unwrap();
    for name in ["", "a"] {
        let found = fs::metadata(image.layers[0].join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (7000, 7000), "{name}");
    }
    drop(store);
    let other = ImageStore::open(&place.images(), config(place.dir.path()));
    assert!(matches!(other, Err(OpenError::Form { .. })), "{:?}", other.err());
    place.store_with(|config| config.form = shifted);
}
