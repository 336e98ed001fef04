//! The store: what it keeps, shares, removes, and what it does with what a crash left. Images are layouts on this host.

mod ids;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{Layout, Tar, config};
use proffer_image::{
    Collection, Config, Image, ImageStore, LayoutError, Limits, ManifestError, PullError, SourceError,
    UnpackError, Watermark,
};
use proffer_types::container::{ImageSpec, PullPolicy};
use serde_json::json;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn layout(&self) -> Layout {
        Layout::new(&self.dir.path().join("layout"))
    }

    fn store(&self) -> ImageStore {
        self.store_with(|_| {})
    }

    fn store_with(&self, change: impl FnOnce(&mut Config)) -> ImageStore {
        let mut config = config(self.dir.path());
        change(&mut config);
        ImageStore::open(&self.images(), config).unwrap()
    }

    fn images(&self) -> std::path::PathBuf {
        self.dir.path().join("images")
    }

    fn count(&self, kind: &str) -> usize {
        fs::read_dir(self.images().join(kind)).unwrap().count()
    }
}

fn spec(reference: &str, pull: PullPolicy) -> ImageSpec {
    ImageSpec {
        reference: reference.to_owned(),
        pull,
    }
}

async fn get(store: &ImageStore, reference: &str, holder: Option<&str>) -> Result<Image, Arc<PullError>> {
    store
        .pull(&spec(reference, PullPolicy::IfMissing), holder, &|_| {})
        .await
}

fn source(error: &PullError) -> Option<&SourceError> {
    let PullError::Source { source, .. } = error else {
        return None;
    };
    Some(source)
}

fn layer(name: &str) -> Vec<u8> {
    Tar::default()
        .directory("./", 0o755)
        .file(name, name.as_bytes())
        .done()
}

#[tokio::test]
async fn an_image_is_its_layers_topmost_first_and_what_it_says() {
    let place = Place::new();
    let mut layout = place.layout();
    let said = json!({
        "Entrypoint": ["/bin/app"], "Cmd": ["serve"], "Env": ["PATH=/bin", "A=b=c"], "WorkingDir": "/srv", "User": "web:log",
        "Volumes": null, "Labels": null, "ExposedPorts": {"80/tcp": {}},
    });
    let manifest = layout.manifest(&[layer("below"), layer("above")], &said);
    layout.tag(manifest, "1");
    let image = get(&place.store(), &layout.reference("1"), None).await.unwrap();
    assert!(image.layers[0].join("above").exists() && image.layers[1].join("below").exists());
    assert_eq!(image.config.entrypoint, ["/bin/app"]);
    assert_eq!(image.config.cmd, ["serve"]);
    assert_eq!(
        image.config.env,
        [("PATH".into(), "/bin".into()), ("A".into(), "b=c".into())]
    );
    assert_eq!(image.config.working_dir.as_deref(), Some("/srv"));
    assert_eq!(image.config.user.as_deref(), Some("web:log"));
}

#[tokio::test]
async fn layers_are_shared_and_an_image_survives_a_restart() {
    let place = Place::new();
    let mut layout = place.layout();
    for name in ["one", "two"] {
        let manifest = layout.manifest(&[layer("base"), layer(name)], &json!({}));
        layout.tag(manifest, name);
    }
    let store = place.store();
    let one = get(&store, &layout.reference("one"), Some("container"))
        .await
        .unwrap();
    let two = get(&store, &layout.reference("two"), None).await.unwrap();
    assert_eq!(one.layers[1], two.layers[1]);
    assert_eq!(place.count("layers"), 3);
    drop(store);

    fs::remove_dir_all(&layout.path).unwrap();
    let store = place.store();
    assert_eq!(get(&store, &layout.reference("one"), None).await.unwrap(), one);
    assert_eq!(store.holders(), ["container"]);
    let always = store
        .pull(&spec(&layout.reference("one"), PullPolicy::Always), None, &|_| {})
        .await;
    assert!(always.is_err(), "the source is gone");
    let never = store
        .pull(
            &spec(&layout.reference("three"), PullPolicy::Never),
            None,
            &|_| {},
        )
        .await;
    assert!(matches!(&*never.unwrap_err(), PullError::Absent(_)));
}

#[tokio::test]
async fn those_who_want_the_same_image_at_once_share_one_pull() {
    let place = Place::new();
    let mut layout = place.layout();
    let manifest = layout.manifest(&[layer("a"), layer("b"), layer("c")], &json!({}));
    layout.tag(manifest, "1");
    let store = place.store();
    let reference = layout.reference("1");
    let pulls = (0..20).map(|n| {
        let (store, reference) = (store.clone(), reference.clone());
        tokio::spawn(async move { get(&store, &reference, Some(&format!("c{n}"))).await })
    });
    let pulls: Vec<_> = pulls.collect();
    for pull in pulls {
        pull.await.unwrap().unwrap();
    }
    // Numbers are not used again: three layers were unpacked, and no more.
    let mut layers: Vec<_> = fs::read_dir(place.images().join("layers"))
        .unwrap()
        .map(|one| one.unwrap().file_name())
        .collect();
    layers.sort();
    assert_eq!(layers, ["0", "1", "2"]);
    assert_eq!(store.list()[0].containers, 20);
}

/// A layer that goes through `/tmp` without listing it must not make it one that only root may write to.
#[tokio::test]
async fn an_unlisted_directory_looks_as_in_the_layers_below() {
    let place = Place::new();
    let mut layout = place.layout();
    let sticky = Tar::default()
        .directory("./", 0o711)
        .directory("tmp/", 0o1777)
        .done();
    let closed = Tar::default()
        .directory("./", 0o755)
        .directory("tmp/", 0o700)
        .done();
    let through = Tar::default().file("tmp/x", b"x").file("opt/y", b"y").done();
    for (name, base) in [("sticky", sticky), ("closed", closed)] {
        let manifest = layout.manifest(&[base, through.clone()], &json!({}));
        layout.tag(manifest, name);
    }
    let store = place.store();
    let mode = |image: &Image, path: &str| fs::metadata(image.layers[0].join(path)).unwrap().mode() & 0o7777;
    let sticky = get(&store, &layout.reference("sticky"), None).await.unwrap();
    let closed = get(&store, &layout.reference("closed"), None).await.unwrap();
    for (image, modes) in [
        (&sticky, [0o711, 0o1777, 0o755]),
        (&closed, [0o755, 0o700, 0o755]),
    ] {
        assert_eq!(["", "tmp", "opt"].map(|path| mode(image, path)), modes);
        assert_eq!(fs::read(image.layers[0].join("tmp/x")).unwrap(), b"x");
    }
}

#[tokio::test]
async fn an_opaque_root_hides_every_layer_below() {
    let place = Place::new();
    let mut layout = place.layout();
    let opaque = Tar::default()
        .directory("./", 0o755)
        .file(".wh..wh..opq", b"")
        .file("new", b"")
        .done();
    let manifest = layout.manifest(&[layer("old"), opaque, layer("top")], &json!({}));
    layout.tag(manifest, "1");
    let image = get(&place.store(), &layout.reference("1"), None).await.unwrap();
    assert_eq!(image.layers.len(), 2);
    assert!(image.layers[1].join("new").exists());
}

#[tokio::test]
async fn an_index_gives_this_hosts_image_or_says_which_there_are() {
    let place = Place::new();
    let mut layout = place.layout();
    let ours = layout.manifest(&[layer("a")], &json!({}));
    let media_type = "application/vnd.oci.image.index.v1+json";
    let platform = |mut manifest: serde_json::Value, os: &str, architecture: &str| {
        manifest["platform"] = json!({"os": os, "architecture": architecture});
        manifest
    };
    let both = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [
        platform(ours.clone(), "linux", "s390x"), platform(ours.clone(), "linux", crate::support::architecture()),
    ]});
    let both = layout.json(media_type, &both);
    layout.tag(both, "both");
    let other = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [platform(ours, "windows", "amd64")]});
    let other = layout.json(media_type, &other);
    layout.tag(other, "other");
    let store = place.store();
    get(&store, &layout.reference("both"), None).await.unwrap();
    let error = get(&store, &layout.reference("other"), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("only for windows/amd64"), "{error}");
    let error = get(&store, &layout.reference("third"), None)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("both, other"), "{error}");
}

#[tokio::test]
async fn what_a_crash_left_is_gone_after_the_next_start() {
    let place = Place::new();
    let mut layout = place.layout();
    let manifest = layout.manifest(&[layer("a")], &json!({}));
    layout.tag(manifest, "1");
    get(&place.store(), &layout.reference("1"), None).await.unwrap();
    let images = place.images();
    // A layer half unpacked, one without its description, one of another boot that never reached the disk, an image whose
    // layer is lost, and a name that means nothing.
    fs::create_dir_all(images.join("tmp/7/fs/bin")).unwrap();
    fs::create_dir_all(images.join("layers/7/fs")).unwrap();
    fs::create_dir_all(images.join("layers/8/fs")).unwrap();
    let described = fs::read_to_string(images.join("layers/0/layer.json")).unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    fs::write(
        images.join("layers/8/layer.json"),
        described.replace(boot_id.trim(), "another"),
    )
    .unwrap();
    let image = fs::read_dir(images.join("images"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let text = fs::read_to_string(&image).unwrap().replace("[[0,", "[[7,");
    fs::write(images.join("images/lost.json"), text).unwrap();
    fs::write(
        images.join("names/lost.json"),
        r#"{"format":1,"name":"x","id":"no digest"}"#,
    )
    .unwrap();

    let store = place.store();
    assert_eq!(store.list().len(), 1);
    assert_eq!(
        ["tmp", "layers", "images", "names"].map(|kind| place.count(kind)),
        [0, 1, 1, 1]
    );
    get(&store, &layout.reference("1"), None).await.unwrap();
}

#[tokio::test]
async fn what_is_used_is_never_collected_and_the_rest_by_age_and_space() {
    let place = Place::new();
    let mut layout = place.layout();
    for name in ["one", "two", "three"] {
        let own = Tar::default()
            .directory("./", 0o755)
            .file(name, &vec![1; 100_000])
            .done();
        let manifest = layout.manifest(&[layer("base"), own], &json!({}));
        layout.tag(manifest, name);
    }
    let store = place.store_with(|config| {
        config.collection = Collection {
            age: Duration::from_secs(100),
            high: Watermark::Bytes(250_000),
            low: Watermark::Bytes(210_000),
        };
    });
    for name in ["one", "two", "three"] {
        let holder = (name == "one").then_some("c");
        get(&store, &layout.reference(name), holder).await.unwrap();
    }
    let left = || {
        let mut names: Vec<_> = store.list().into_iter().flat_map(|image| image.names).collect();
        names.sort();
        names
            .iter()
            .map(|name| name.rsplit(':').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let now = SystemTime::now();
    // By space: `one` was used longest ago, but is in use.
    let collected = store.collect(now).await.unwrap();
    assert_eq!(
        (collected.images, collected.layers, left()),
        (1, 1, vec!["one".to_owned(), "three".to_owned()])
    );
    assert_eq!(store.collect(now).await.unwrap().images, 0);
    // By age.
    let collected = store.collect(now + Duration::from_secs(200)).await.unwrap();
    assert_eq!((collected.images, left()), (1, vec!["one".to_owned()]));
    assert!(
        get(&store, &layout.reference("one"), None).await.unwrap().layers[0]
            .join("one")
            .exists()
    );
    store.release("c").unwrap();
    store.prune(now).await.unwrap();
    assert!(left().is_empty());
    assert_eq!(
        ["layers", "images", "names", "pins", "blobs", "tmp"].map(|kind| place.count(kind)),
        [0; 6]
    );
    store.release("c").unwrap();
    assert!(store.release("../c").is_err());
}

/// Waits for nothing: a pull that nobody wants any more ends, and leaves nothing that is listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_given_up_leaves_nothing_behind() {
    let place = Place::new();
    let mut layout = place.layout();
    let mut noise: u64 = 1;
    let data: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        noise.to_le_bytes()
    })
    .take(2 << 20)
    .flatten()
    .collect();
    let manifest = layout.manifest(&[Tar::default().file("large", &data).done()], &json!({}));
    layout.tag(manifest, "1");
    let store = place.store();
    let reference = layout.reference("1");
    let pull = tokio::time::timeout(Duration::from_millis(20), get(&store, &reference, None));
    assert!(pull.await.is_err(), "16 MiB were pulled in no time");
    let deadline = Instant::now() + Duration::from_secs(20);
    while place.count("tmp") > 0 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((place.count("tmp"), store.list().len()), (0, 0));
}

#[tokio::test]
async fn images_that_are_not_what_they_say_are_refused() {
    let place = Place::new();
    let mut layout = place.layout();
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
    let good = layer("a");
    let stored = crate::support::compress(&good, proffer_image::Compression::Gzip);
    let diff_id = proffer_image::Digest::of(&good).to_string();
    let blob = layout.blob(gzip, &stored);

    let many: Vec<_> = (0..128).map(|_| blob.clone()).collect();
    let diff_ids: Vec<_> = (0..128).map(|_| diff_id.clone()).collect();
    let manifest = layout.manifest_of(&many, &diff_ids, &json!({}));
    layout.tag(manifest, "too-many");
    let manifest = layout.manifest_of(&[], &[], &json!({}));
    layout.tag(manifest, "none");
    let manifest = layout.manifest_of(std::slice::from_ref(&blob), &[], &json!({}));
    layout.tag(manifest, "count");
    let encrypted = layout.blob(&format!("{gzip}+encrypted"), &stored);
    let manifest = layout.manifest_of(&[encrypted], std::slice::from_ref(&diff_id), &json!({}));
    layout.tag(manifest, "media-type");
    let wrong = proffer_image::Digest::of(b"other").to_string();
    let manifest = layout.manifest_of(std::slice::from_ref(&blob), &[wrong], &json!({}));
    layout.tag(manifest, "diff-id");
    let mut short = blob.clone();
    short["size"] = json!(stored.len() - 1);
    let manifest = layout.manifest_of(&[short], std::slice::from_ref(&diff_id), &json!({}));
    layout.tag(manifest, "size");
    let mut huge = blob.clone();
    huge["size"] = json!(1_u64 << 60);
    let manifest = layout.manifest_of(&[huge], std::slice::from_ref(&diff_id), &json!({}));
    layout.tag(manifest, "huge");
    let manifest = layout.manifest_of(
        std::slice::from_ref(&blob),
        std::slice::from_ref(&diff_id),
        &json!({"Env": ["A=\0"]}),
    );
    layout.tag(manifest, "nul");
    let two =
        json!({"schemaVersion": 2, "mediaType": media_type, "config": blob, "layers": [], "manifests": []});
    let two = layout.json(media_type, &two);
    layout.tag(two, "both");
    let lie =
        json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
    let lie = layout.json(media_type, &lie);
    layout.tag(lie, "ambiguous");
    let mut large = layout.blob(media_type, &vec![b' '; 5 << 20]);
    large["size"] = json!(5 << 20);
    layout.tag(large, "manifest-size");
    let altered = layout.blob(media_type, b"{}");
    let name = altered["digest"].as_str().unwrap().replace("sha256:", "");
    fs::write(layout.path.join("blobs/sha256").join(name), b"[]").unwrap();
    layout.tag(altered, "altered");

    let store = place.store();
    type Check = fn(&PullError) -> bool;
    fn manifest_error(error: &PullError) -> Option<&ManifestError> {
        match source(error) {
            Some(SourceError::Manifest(error)) => Some(error),
            _ => None,
        }
    }
    let cases: &[(&str, Check)] = &[
        ("too-many", |e| {
            matches!(manifest_error(e), Some(ManifestError::TooManyLayers(128)))
        }),
        ("none", |e| {
            matches!(manifest_error(e), Some(ManifestError::NoLayers))
        }),
        ("count", |e| {
            matches!(
                manifest_error(e),
                Some(ManifestError::LayerCount {
                    layers: 1,
                    diff_ids: 0
                })
            )
        }),
        ("media-type", |e| {
            matches!(manifest_error(e), Some(ManifestError::MediaType(_)))
        }),
        (
            "diff-id",
            |e| matches!(e, PullError::Layer { source, .. } if matches!(**source, UnpackError::DiffId { .. })),
        ),
        ("size", |e| {
            matches!(source(e), Some(SourceError::Layout(LayoutError::Size { .. })))
        }),
        ("huge", |e| {
            matches!(manifest_error(e), Some(ManifestError::LayerTooLarge { .. }))
        }),
        ("nul", |e| {
            matches!(manifest_error(e), Some(ManifestError::Config(_)))
        }),
        ("both", |e| matches!(manifest_error(e), Some(ManifestError::Both))),
        ("ambiguous", |e| {
            matches!(manifest_error(e), Some(ManifestError::Ambiguous { .. }))
        }),
        ("manifest-size", |e| {
            matches!(manifest_error(e), Some(ManifestError::TooLarge))
        }),
        ("altered", |e| {
            matches!(source(e), Some(SourceError::Digest { .. }))
        }),
    ];
    for (tag, check) in cases {
        let error = get(&store, &layout.reference(tag), None).await.expect_err(tag);
        assert!(check(&error), "{tag}: {error:?}");
    }
    assert_eq!(store.list(), []);
    let limited = Place {
        dir: tempfile::tempdir().unwrap(),
    };
    let store = limited.store_with(|config| {
        config.local = vec![place.dir.path().to_owned()];
        config.limits = Limits {
            image_bytes: 1,
            ..Limits::default()
        };
    });
    let manifest = layout.manifest(&[layer("first"), layer("second")], &json!({}));
    layout.tag(manifest, "fine");
    let error = get(&store, &layout.reference("fine"), None).await.unwrap_err();
    assert!(matches!(&*error, PullError::TooLarge { limit: 1, .. }), "{error}");
}

#[tokio::test]
async fn layouts_are_only_taken_from_where_the_operator_said() {
    let place = Place::new();
    let mut layout = place.layout();
    let manifest = layout.manifest(&[layer("a")], &json!({}));
    layout.tag(manifest, "1");
    let elsewhere = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(&layout.path, elsewhere.path().join("link")).unwrap();
    let store = place.store_with(|config| config.local = vec![elsewhere.path().to_owned()]);
    let link = format!("oci:{}:1", elsewhere.path().join("link").display());
    let climb = format!(
        "oci:{}/../{}:1",
        elsewhere.path().display(),
        layout.path.display()
    );
    for reference in [layout.reference("1"), link, climb] {
        assert!(get(&store, &reference, None).await.is_err(), "{reference}");
    }
}

#[tokio::test]
async fn an_archive_of_a_layout_is_as_good_as_a_directory() {
    let place = Place::new();
    let mut layout = place.layout();
    let manifest = layout.manifest(&[layer("a"), layer("b")], &json!({"Cmd": ["x"]}));
    layout.tag(manifest, "1");
    let archive = place.dir.path().join("image.tar");
    let made = std::process::Command::new("tar")
        .arg("-cf")
        .arg(&archive)
        .arg("-C")
        .arg(&layout.path)
        .arg(".")
        .status();
    assert!(made.unwrap().success());
    let store = place.store();
    let image = get(&store, &format!("oci-archive:{}:1", archive.display()), None)
        .await
        .unwrap();
    assert_eq!(image.config.cmd, ["x"]);
    assert!(image.layers[0].join("b").exists());
    fs::write(
        &archive,
        b"no archive at all, but long enough to be asked for a header of 512 bytes".repeat(20),
    )
    .unwrap();
    let error = get(&store, &format!("oci-archive:{}:2", archive.display()), None)
        .await
        .unwrap_err();
    assert!(
        matches!(
            source(&error),
            Some(SourceError::Layout(LayoutError::Archive { .. }))
        ),
        "{error}"
    );
}

/// A task in an image of 50 layers must not wait for its image's files.
#[tokio::test]
async fn looking_up_an_image_of_fifty_layers_reads_nothing() {
    let place = Place::new();
    let mut layout = place.layout();
    let layers: Vec<_> = (0..50).map(|n| layer(&n.to_string())).collect();
    let manifest = layout.manifest(&layers, &json!({}));
    layout.tag(manifest, "1");
    let store = place.store();
    let reference = layout.reference("1");
    get(&store, &reference, None).await.unwrap();
    let mut times = Vec::new();
    for n in 0..50 {
        let start = Instant::now();
        assert_eq!(
            get(&store, &reference, Some(&format!("c{n}")))
                .await
                .unwrap()
                .layers
                .len(),
            50
        );
        times.push(start.elapsed());
    }
    times.sort();
    assert!(times[25] < Duration::from_millis(2), "{times:?}");
    let longest: usize = get(&store, &reference, None)
        .await
        .unwrap()
        .layers
        .iter()
        .map(|path| path.as_os_str().len() + 1)
        .sum();
    let root = Path::new(&place.images()).as_os_str().len();
    assert!(longest < 50 * (root + 16), "mount options are bounded by a page");
}
