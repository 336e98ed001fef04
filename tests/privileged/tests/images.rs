//! A task in an image that umoci made: its files, its user, and that nothing it does reaches the layers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proffer_container::{ContainerConfig, IdMap, ImageRoot, Root, User};
use proffer_image::{Config, Image, ImageStore, resolve_user};
use proffer_privileged_tests::{Host, guest, on_host, skip};
use proffer_types::container::{ImageSpec, PullPolicy};

/// Where Debian's busybox-static puts it.
const BUSYBOX: &str = "/bin/busybox";

fn umoci(arguments: &[&str]) -> Result<()> {
    let output = Command::new("umoci").args(arguments).output().context("umoci")?;
    ensure!(
        output.status.success(),
        "umoci {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Whether images can be made here; says so where they cannot.
fn is_equipped() -> bool {
    let libraries = Command::new("ldd").arg(BUSYBOX).output();
    let is_dynamic = libraries.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("=>"));
    let is_static = Path::new(BUSYBOX).exists() && !is_dynamic;
    if !is_static {
        skip("busybox-static is not installed");
        return false;
    }
    let has_umoci = Command::new("umoci").arg("--version").output().is_ok();
    if !has_umoci {
        skip("umoci is not installed");
    }
    has_umoci
}

/// An image of busybox, a user, and so many layers that each add a file; one file of the first is gone in the last.
fn build(dir: &Path, n_layers: usize) -> Result<PathBuf> {
    let layout = dir.join("layout");
    let image = format!("{}:1", layout.display());
    umoci(&["init", "--layout", &layout.display().to_string()])?;
    umoci(&["new", "--image", &image])?;
    let put = |name: &str, content: &str, target: &str| -> Result<()> {
        let source = dir.join(name);
        fs::write(&source, content)?;
        umoci(&["insert", "--image", &image, &source.display().to_string(), target])
    };
    umoci(&["insert", "--image", &image, BUSYBOX, "/bin/busybox"])?;
    put(
        "passwd",
        "root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n",
        "/etc/passwd",
    )?;
    put("group", "root:x:0:\nweb:x:34:\nlog:x:50:web\n", "/etc/group")?;
    put("gone", "gone", "/srv/gone")?;
    for n in 5..n_layers {
        put("file", &n.to_string(), &format!("/srv/layer-{n}"))?;
    }
    umoci(&["insert", "--image", &image, "--whiteout", "/srv/gone"])?;
    umoci(&[
        "config",
        "--image",
        &image,
        "--config.user",
        "web",
        "--config.workingdir",
        "/srv",
    ])?;
    Ok(layout)
}

fn pull(dir: &Path, layout: &Path) -> Result<(ImageStore, ImageSpec, Image)> {
    let config = Config {
        local: vec![dir.to_owned()],
        ..Config::default()
    };
    let store = ImageStore::open(&dir.join("images"), config)?;
    let spec = ImageSpec {
        reference: format!("oci:{}:1", layout.display()),
        pull: PullPolicy::IfMissing,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let image = runtime.block_on(store.pull(&spec, Some("c"), &|_| {}))?;
    Ok((store, spec, image))
}

/// A container in an image, as its user.
fn config(host: &Host, name: &str, image: &Image, script: &str) -> Result<ContainerConfig> {
    let scratch = host.dir.path().join(format!("{name}-scratch"));
    for part in ["upper", "work", "rootfs"] {
        fs::create_dir_all(scratch.join(part))?;
    }
    let who = resolve_user(&image.layers, image.config.user.as_deref().unwrap_or_default())?;
    Ok(ContainerConfig {
        root: Root::Image(ImageRoot {
            lower: image.layers.clone(),
            upper: Some((scratch.join("upper"), scratch.join("work"))),
            mount_point: scratch.join("rootfs"),
        }),
        user: User {
            uid: who.uid,
            gid: who.gid,
            groups: who.groups,
        },
        working_directory: image.config.working_dir.clone(),
        ..host.config(name, &[BUSYBOX, "sh", "-c", script])
    })
}

fn layer_files(image: &Image) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for layer in &image.layers {
        let found = Command::new("find")
            .arg(layer)
            .args(["-printf", "%p %s %m %U %T@\\n"])
            .output()?;
        all.push(String::from_utf8_lossy(&found.stdout).into_owned());
    }
    Ok(all)
}

#[test]
fn a_task_sees_its_image_and_changes_only_its_own_layer() -> Result<()> {
    if !is_equipped() {
        return Ok(());
    }
    on_host(|host| {
        let dir = tempfile::tempdir()?;
        let layout = build(dir.path(), 6)?;
        let (_store, _, image) = pull(dir.path(), &layout)?;
        let before = layer_files(&image)?;
        let script = "bb=/bin/busybox; $bb pwd; $bb id -u; $bb id -g; $bb id -G; $bb ls /srv; $bb ls /etc;";
        let ended = host
            .run_config(&config(host, "image", &image, script)?)?
            .expect_code(0)?;
        let lines: Vec<_> = ended.stdout.lines().collect();
        ensure!(lines[..4] == ["/srv", "33", "34", "34 50"], "{}", ended.stdout);
        ensure!(
            !ended.stdout.contains("gone") && lines.contains(&"layer-5"),
            "{}",
            ended.stdout
        );
        ensure!(lines.contains(&"passwd"), "{}", ended.stdout);

        // As root of the image: whatever it does to the root is in its own layer.
        let script = "bb=/bin/busybox; $bb rm /etc/passwd; echo new > /etc/new; $bb rm -r /srv; $bb ls /etc";
        let mut own = config(host, "writes", &image, script)?;
        own.user = User::default();
        let ended = host.run_config(&own)?.expect_code(0)?;
        ensure!(
            ended.stdout.contains("new") && !ended.stdout.contains("passwd"),
            "{}",
            ended.stdout
        );
        let again = config(host, "again", &image, "/bin/busybox ls /etc")?;
        let ended = host.run_config(&again)?.expect_code(0)?;
        ensure!(
            ended.stdout.contains("passwd") && !ended.stdout.contains("new"),
            "{}",
            ended.stdout
        );
        ensure!(layer_files(&image)? == before, "a layer was changed");
        Ok(())
    })
}

/// The image's files belong to the ids of the user namespace: its root may write, and is nobody outside.
#[test]
fn an_image_in_a_user_namespace_belongs_to_its_root() -> Result<()> {
    if !is_equipped() {
        return Ok(());
    }
    on_host(|host| {
        let dir = tempfile::tempdir()?;
        let layout = build(dir.path(), 5)?;
        let (_store, _, image) = pull(dir.path(), &layout)?;
        let script = "bb=/bin/busybox; $bb stat -c %u /etc/passwd; echo x > /etc/new && $bb id -u";
        let mut own = config(host, "mapped", &image, script)?;
        own.user = User::default();
        own.id_map = Some(IdMap {
            first: 1_879_048_192,
            count: 65536,
        });
        let scratch = host.dir.path().join("mapped-scratch");
        for path in [&own.files.sandbox, &own.files.tmp] {
            fs::create_dir_all(path)?;
            std::os::unix::fs::chown(path, Some(1_879_048_192), Some(1_879_048_192))?;
        }
        let ended = host.run_config(&own)?.expect_code(0)?;
        ensure!(ended.stdout == "0\n0\n", "{}", ended.stdout);
        let written = fs::metadata(scratch.join("upper/etc/new"))?;
        ensure!(
            std::os::unix::fs::MetadataExt::uid(&written) == 1_879_048_192,
            "{written:?}"
        );
        Ok(())
    })
}

/// Fifty layers cost a look-up and a mount.
#[test]
fn a_warm_start_from_fifty_layers_is_near_one_without_an_image() -> Result<()> {
    if !is_equipped() {
        return Ok(());
    }
    on_host(|host| {
        let dir = tempfile::tempdir()?;
        let layout = build(dir.path(), 50)?;
        let (store, spec, image) = pull(dir.path(), &layout)?;
        ensure!(image.layers.len() == 50, "{}", image.layers.len());
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for n in 0..15 {
            let start = Instant::now();
            let image = runtime.block_on(store.pull(&spec, Some(&format!("c{n}")), &|_| {}))?;
            let container = host.launch(&config(host, &format!("with-{n}"), &image, "exit 0")?)?;
            with.push(start.elapsed());
            host.finish(&container)?.expect_code(0)?;
            let start = Instant::now();
            let container = host.launch(&host.config(&format!("without-{n}"), &[BUSYBOX, "true"]))?;
            without.push(start.elapsed());
            host.finish(&container)?.expect_code(0)?;
        }
        with.sort();
        without.sort();
        let more = with[7].saturating_sub(without[7]);
        eprintln!(
            "50 layers: {:?}, no image: {:?}, median of 15",
            with[7], without[7]
        );
        // A debug build on a busy machine; what it costs at best is for the benchmark to say.
        ensure!(more < Duration::from_millis(100), "{more:?}");
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}
