//! Against a real registry: Debian's docker-registry on loopback, filled by skopeo.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use proffer_image::{Config, Digest, Image, ImageStore, Progress, PullError, RegistryError, SourceError};
use proffer_types::container::{ImageSpec, PullPolicy};
use serde_json::json;

use crate::support::{Layout, Tar, config};

mod servers;

use servers::{Front, Registry, Trouble, is_equipped};

/// Bytes that do not compress.
fn noise(seed: u64, kib: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 32) as u32
    };
    std::iter::repeat_with(next)
        .take(kib * 256)
        .flat_map(u32::to_le_bytes)
        .collect()
}

fn layer(seed: u64, kib: usize) -> Vec<u8> {
    Tar::default()
        .directory("./", 0o755)
        .file(&format!("noise-{seed}"), &noise(seed, kib))
        .done()
}

/// A layout with one image of these layers, called `1`.
fn layout(dir: &Path, layers: &[Vec<u8>]) -> Layout {
    let mut layout = Layout::new(&dir.join("layout"));
    let manifest = layout.manifest(layers, &json!({"Cmd": ["run"]}));
    layout.tag(manifest, "1");
    layout
}

fn store(dir: &Path, change: impl FnOnce(&mut Config)) -> ImageStore {
    let mut config = config(dir);
    change(&mut config);
    ImageStore::open(&dir.join("images"), config).unwrap()
}

async fn get(store: &ImageStore, reference: String) -> Result<Image, Arc<PullError>> {
    let spec = ImageSpec {
        reference,
        pull: PullPolicy::Always,
    };
    store.pull(&spec, None, &|_| {}).await
}

fn registry_error(error: &PullError) -> &RegistryError {
    let PullError::Source { source, .. } = error else {
        panic!("{error}");
    };
    let SourceError::Registry(error) = &**source else {
        panic!("{source}");
    };
    error
}

fn login(dir: &Path, host: &str) -> PathBuf {
    let file = dir.join("logins.json");
    fs::write(&file, json!({"auths": {host: {"auth": "dTpw"}}}).to_string()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_comes_by_tag_and_digest_with_its_progress() {
    if !is_equipped() {
        return;
    }
    let registry = Registry::plain();
    let dir = registry.dir.path();
    let layers: Vec<_> = (1..=5).map(|seed| layer(seed, 256)).collect();
    registry.push(&layout(dir, &layers), "1", "a/b:1", &[]);
    // Docker's own media types, and zstd.
    registry.push(&layout(dir, &layers), "1", "a/b:docker", &["--format=v2s2"]);
    registry.push(
        &layout(dir, &layers),
        "1",
        "a/b:zstd",
        &["--dest-compress-format=zstd", "--dest-compress"],
    );
    let store = store(dir, |config| {
        config.registries.plain_http = vec![registry.address.clone()]
    });
    let seen = Mutex::new(Vec::new());
    let spec = ImageSpec {
        reference: format!("{}/a/b:1", registry.address),
        pull: PullPolicy::IfMissing,
    };
    let told = |progress: Progress| seen.lock().unwrap().push(progress);
    let image = store.pull(&spec, None, &told).await.unwrap();
    assert_eq!(fs::read(image.layers[0].join("noise-5")).unwrap(), noise(5, 256));
    assert_eq!(
        (image.layers.len(), image.config.cmd.as_slice()),
        (5, &["run".to_owned()][..])
    );
    let seen = seen.into_inner().unwrap();
    let last = seen.last().unwrap();
    assert!(
        seen.iter().all(|one| one.bytes_done <= one.bytes) && last.layers == 5 && last.bytes > 5 * 256 * 1024,
        "{last}"
    );

    let by_digest = get(&store, format!("{}/a/b@{}", registry.address, image.id))
        .await
        .unwrap();
    assert_eq!(by_digest, image);
    for tag in ["docker", "zstd"] {
        let image = get(&store, format!("{}/a/b:{tag}", registry.address))
            .await
            .unwrap();
        assert_eq!(
            image.layers, by_digest.layers,
            "layers are known by what they unpack to"
        );
    }
    let wrong = Digest::of(b"x");
    let error = get(&store, format!("{}/a/b@{wrong}", registry.address))
        .await
        .unwrap_err();
    assert!(
        matches!(
            registry_error(&error),
            RegistryError::Status {
                status: StatusCode::NOT_FOUND,
                ..
            }
        ),
        "{error}"
    );
    // Without the operator's word, no plain HTTP.
    let strict = self::store(&dir.join("strict"), |_| {});
    assert!(get(&strict, spec.reference).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_breaks_goes_on_where_it_broke() {
    if !is_equipped() {
        return;
    }
    let registry = Registry::plain();
    let dir = registry.dir.path();
    registry.push(&layout(dir, &[layer(1, 1024)]), "1", "a/b:1", &[]);
    for ignores_ranges in [false, true] {
        let trouble = Trouble {
            cuts: 2.into(),
            outages: 1.into(),
            ignores_ranges,
            ..Trouble::default()
        };
        let front = Front::of(&registry, trouble).await;
        let place = dir.join(ignores_ranges.to_string());
        let store = store(&place, |config| {
            config.registries.plain_http = vec![front.address.clone()]
        });
        let image = get(&store, format!("{}/a/b:1", front.address)).await.unwrap();
        assert_eq!(fs::read(image.layers[0].join("noise-1")).unwrap(), noise(1, 1024));
        let ranges = front
            .asked()
            .iter()
            .filter(|asked| asked.contains("bytes="))
            .count();
        assert_eq!(ranges, if ignores_ranges { 0 } else { 2 }, "{:?}", front.asked());
        assert_eq!(fs::read_dir(place.join("images/blobs")).unwrap().count(), 0);
    }
}

/// What another agent process left of a download is used; when it is not the blob's beginning, it is thrown away.
#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_from_before_a_restart_is_used_or_thrown_away() {
    if !is_equipped() {
        return;
    }
    let registry = Registry::plain();
    let dir = registry.dir.path();
    let content = layer(1, 1024);
    let layout = layout(dir, std::slice::from_ref(&content));
    registry.push(&layout, "1", "a/b:1", &[]);
    let stored = crate::support::compress(&content, proffer_image::Compression::Gzip);
    let name = Digest::of(&stored).hex();
    let half = stored[..stored.len() / 2].to_vec();
    let mut wrong = half.clone();
    wrong[100] ^= 1;
    for (place, beginning, expected) in [("half", half, 1), ("wrong", wrong, 2)] {
        let front = Front::of(&registry, Trouble::default()).await;
        let place = dir.join(place);
        let store = store(&place, |config| {
            config.registries.plain_http = vec![front.address.clone()]
        });
        fs::write(place.join("images/blobs").join(&name), beginning).unwrap();
        get(&store, format!("{}/a/b:1", front.address)).await.unwrap();
        let of_layer: Vec<_> = front
            .asked()
            .into_iter()
            .filter(|asked| asked.contains(&name))
            .collect();
        assert_eq!(of_layer.len(), expected, "{of_layer:?}");
        assert!(of_layer[0].contains("bytes="), "{of_layer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_was_asked_for_is_refused() {
    if !is_equipped() {
        return;
    }
    let registry = Registry::plain();
    let dir = registry.dir.path();
    registry.push(&layout(dir, &[layer(1, 64)]), "1", "a/b:1", &[]);
    let liar = Front::of(
        &registry,
        Trouble {
            lies: true,
            ..Trouble::default()
        },
    )
    .await;
    let endless = Front::of(
        &registry,
        Trouble {
            is_endless: true,
            ..Trouble::default()
        },
    )
    .await;
    let store = store(dir, |config| {
        config.registries.plain_http = vec![liar.address.clone(), endless.address.clone()];
    });
    let error = get(&store, format!("{}/a/b:1", liar.address)).await.unwrap_err();
    assert!(
        matches!(registry_error(&error), RegistryError::Digest { .. }),
        "{error}"
    );
    let error = get(&store, format!("{}/a/b:1", endless.address))
        .await
        .unwrap_err();
    assert!(
        matches!(registry_error(&error), RegistryError::TooLarge { .. }),
        "{error}"
    );
    assert_eq!(store.list(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_sent_as_basic_or_for_a_token() {
    if !is_equipped() {
        return;
    }
    let closed = Registry::start(|dir| {
        let line = Command::new("htpasswd")
            .args(["-Bbn", "u", "p"])
            .output()
            .unwrap()
            .stdout;
        fs::write(dir.join("htpasswd"), line).unwrap();
        json!({"auth": {"htpasswd": {"realm": "here", "path": dir.join("htpasswd")}}})
    });
    let dir = closed.dir.path();
    closed.push(&layout(dir, &[layer(1, 64)]), "1", "a/b:1", &["--dest-creds=u:p"]);
    let reference = format!("{}/a/b:1", closed.address);
    let plain = |config: &mut Config| config.registries.plain_http = vec!["127.0.0.1".to_owned()];
    let without = store(&dir.join("without"), plain);
    let error = get(&without, reference.clone()).await.unwrap_err();
    assert!(
        matches!(registry_error(&error), RegistryError::NoLogin { .. }),
        "{error}"
    );
    let file = login(dir, &closed.address);
    let with = store(&dir.join("with"), |config| {
        plain(config);
        config.registries.auth_file = Some(file.clone());
    });
    get(&with, reference.clone()).await.unwrap();
    fs::write(
        &file,
        json!({"auths": {&closed.address: {"username": "u", "password": "wrong"}}}).to_string(),
    )
    .unwrap();
    let other = store(&dir.join("other"), |config| {
        plain(config);
        config.registries.auth_file = Some(file);
    });
    let error = get(&other, reference).await.unwrap_err();
    assert!(
        matches!(registry_error(&error), RegistryError::Refused { .. }),
        "{error}"
    );

    let open = Registry::plain();
    open.push(&layout(&dir.join("token"), &[layer(1, 64)]), "1", "a/b:1", &[]);
    let front = Front::of(
        &open,
        Trouble {
            wants_token: true,
            ..Trouble::default()
        },
    )
    .await;
    let file = login(dir, &front.address);
    let store = store(&dir.join("bearer"), |config| {
        plain(config);
        config.registries.auth_file = Some(file);
    });
    get(&store, format!("{}/a/b:1", front.address)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_are_asked_first_and_the_registry_when_they_fail() {
    if !is_equipped() {
        return;
    }
    let (mirror, origin) = (Registry::plain(), Registry::plain());
    let dir = origin.dir.path();
    let both = layout(dir, &[layer(1, 64)]);
    mirror.push(&both, "1", "library/x:1", &[]);
    let name = origin.address.clone();
    origin.push(&layout(&dir.join("other"), &[layer(2, 64)]), "1", "a/b:1", &[]);
    let url = |address: &str| format!("http://{address}").parse().unwrap();
    let store = store(dir, |config| {
        config.registries.plain_http = vec![name.clone()];
        let at = |registry: &str, address: &str| proffer_image::Mirror {
            registry: registry.to_owned(),
            url: url(address),
        };
        // The first is nobody's port.
        config.registries.mirrors = vec![at("docker.io", &mirror.address), at(&name, &mirror.address)];
    });
    get(&store, "x:1".to_owned()).await.unwrap();
    let image = get(&store, format!("{name}/a/b:1")).await.unwrap();
    assert!(image.layers[0].join("noise-2").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_images_at_once_fetch_what_they_share_once() {
    if !is_equipped() {
        return;
    }
    let registry = Registry::plain();
    let dir = registry.dir.path();
    for (name, own) in [("one", 11), ("two", 12)] {
        let layers = [layer(1, 512), layer(2, 512), layer(own, 64)];
        registry.push(&layout(&dir.join(name), &layers), "1", &format!("{name}:1"), &[]);
    }
    let front = Front::of(&registry, Trouble::default()).await;
    let store = store(dir, |config| {
        config.registries.plain_http = vec![front.address.clone()]
    });
    let pulls = ["one", "two", "one", "two"].map(|name| get(&store, format!("{}/{name}:1", front.address)));
    for pulled in futures::future::join_all(pulls).await {
        pulled.unwrap();
    }
    // Four layers and two configurations.
    assert_eq!(front.asked().len(), 6, "{:?}", front.asked());
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_needs_a_certificate_somebody_vouches_for() {
    if !is_equipped() {
        return;
    }
    let own = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let registry = Registry::start(|dir| {
        fs::write(dir.join("cert.pem"), own.cert.pem()).unwrap();
        fs::write(dir.join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        json!({"http": {"tls": {"certificate": dir.join("cert.pem"), "key": dir.join("key.pem")}}})
    });
    let dir = registry.dir.path();
    registry.push(&layout(dir, &[layer(1, 64)]), "1", "a/b:1", &[]);
    let reference = format!("{}/a/b:1", registry.address);
    let stranger = store(&dir.join("stranger"), |_| {});
    let error = get(&stranger, reference.clone()).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    let store = store(dir, |config| {
        config.registries.ca_file = Some(dir.join("cert.pem"))
    });
    get(&store, reference).await.unwrap();
}
