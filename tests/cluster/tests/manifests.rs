//! Kubernetes manifests: three articles' sets side by side, and sets of which one part is refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, skipped, text, wait_for};
use proffer_linux::netns;

/// How long a change may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The sets of the articles, and the namespaces they are applied in.
const ARTICLES: [(&str, &str); 3] = [("000", "a"), ("002", "b"), ("004", "c")];

/// What the mirror and the images are made with, and what bridges need.
const TOOLS: [&str; 5] = ["umoci", "busybox", "python3", "nft", "ip"];

/// A registry that has one image under every name: the layout in its first argument.
const MIRROR: &str = "
import http.server, json, sys
layout = sys.argv[1]
manifest = json.load(open(layout + '/index.json'))['manifests'][0]['digest']
class Mirror(http.server.BaseHTTPRequestHandler):
    def answer(self, with_body):
        parts = self.path.split('?')[0].split('/')
        digest = parts[-1] if parts[-1].startswith('sha256:') else manifest
        kind = 'vnd.oci.image.manifest.v1+json' if parts[-2] == 'manifests' else 'octet-stream'
        body = b'{}' if parts[-1] == '' else open(layout + '/blobs/' + digest.replace(':', '/'), 'rb').read()
        self.send_response(200)
        self.send_header('Content-Type', 'application/' + kind)
        self.send_header('Content-Length', str(len(body)))
        self.send_header('Docker-Content-Digest', digest)
        self.end_headers()
        if with_body:
            self.wfile.write(body)
    def do_GET(self):
        self.answer(True)
    def do_HEAD(self):
        self.answer(False)
http.server.ThreadingHTTPServer(('127.0.0.1', 5000), Mirror).serve_forever()
";

/// Room for what the articles ask for.
const AGENT: [&str; 2] = ["--resources", "cpus:8;mem:8GiB;ports:[31000-31999]"];

fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

/// The files of one article, as arguments.
fn article(number: &str) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for entry in fs::read_dir(manifests())? {
        let path = entry?.path().display().to_string();
        if path.contains(&format!("/{number}-")) {
            arguments.extend(["-f".to_owned(), path]);
        }
    }
    Ok(arguments)
}

/// Runs a subcommand of `service` on the files of an article, in a namespace; what it said on stdout and stderr.
fn with(cluster: &Cluster, subcommand: &str, number: &str, namespace: &str) -> Result<(String, String)> {
    let files = article(number)?;
    let mut arguments = vec!["service", subcommand, "-n", namespace];
    arguments.extend(files.iter().map(String::as_str));
    let output = cluster.run(&arguments)?;
    ensure!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    Ok((text(&output.stdout), text(&output.stderr)))
}

/// The mirror while it runs.
struct Mirror(Child);

impl Drop for Mirror {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sh(script: &str) -> Result<()> {
    let output = Command::new("sh").args(["-ec", script]).output()?;
    ensure!(output.status.success(), "{script}: {}", text(&output.stderr));
    Ok(())
}

/// Makes a layout with an image that sleeps, and serves it.
fn mirror(dir: &Path) -> Result<Mirror> {
    let dir = dir.display();
    sh(&format!(
        "cd {dir}; mkdir -p root/bin; cp $(command -v busybox) root/bin; umoci init --layout layout
         umoci new --image layout:1; umoci insert --rootless --image layout:1 root /
         umoci config --image layout:1 --config.entrypoint /bin/busybox --config.cmd sleep --config.cmd 5000"
    ))?;
    let layout = format!("{dir}/layout");
    let child = Command::new("python3")
        .args(["-c", MIRROR, &layout])
        .stderr(std::process::Stdio::null())
        .spawn()?;
    Ok(Mirror(child))
}

/// How many replicas of each service run, and are wanted.
fn replicas(cluster: &Cluster) -> Result<Vec<(u64, u64)>> {
    let services = cluster.json(&["service", "list"])?;
    let counts = services.as_array().into_iter().flatten().map(|service| {
        let count = |field: &str| service[field].as_u64();
        count("replicas_running")
            .zip(count("replicas_wanted"))
            .context("no counts")
    });
    counts.collect()
}

fn names(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let services = cluster.json(&["service", "list"])?;
    let services = services.as_array().cloned().unwrap_or_default();
    let names = services.iter().filter_map(|service| service["name"].as_str());
    Ok(names.map(ToOwned::to_owned).collect())
}

#[test]
fn the_sets_of_three_articles_are_applied_together_each_in_its_namespace() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &AGENT)?;
    let mut addresses = BTreeSet::new();
    let titles = [
        ("service web-app.a", "deployment web-app.a"),
        ("service nginx-service.b", "deployment nginx-deployment.b"),
        ("service my-service.c", "deployment my-app.c"),
    ];
    for ((number, namespace), (service, deployment)) in ARTICLES.into_iter().zip(titles) {
        let (planned, _) = with(&cluster, "plan", number, namespace)?;
        ensure!(planned.matches("would be created").count() == 2, "{planned}");
        let (said, warned) = with(&cluster, "apply", number, namespace)?;
        let created = |title: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(title));
            line.and_then(|line| line.strip_prefix(" created, "))
                .map(ToOwned::to_owned)
        };
        ensure!(created(deployment).as_deref() == Some("version 1"), "{said}");
        let Some(address) = created(service) else {
            panic!("{said}");
        };
        addresses.insert(address);
        ensure!(
            warned.contains("my-service-endpoints.yaml:") == (number == "004"),
            "{warned}"
        );
        let is_range = said.contains("limitrange web-app-limit-range.a read, not kept");
        ensure!(is_range == (number == "000"), "{said}");

        let (again, _) = with(&cluster, "apply", number, namespace)?;
        ensure!(
            again.contains(&format!("{deployment} applied, version 1")),
            "{again}"
        );
        let (planned, _) = with(&cluster, "plan", number, namespace)?;
        ensure!(planned.matches("would stay as it is").count() == 2, "{planned}");
    }
    // Equal ports do not collide, as each has an address of its own.
    ensure!(addresses.len() == 3, "{addresses:?}");
    let expected = ["my-app.c", "nginx-deployment.b", "web-app.a"].map(ToOwned::to_owned);
    ensure!(
        names(&cluster)? == BTreeSet::from(expected),
        "{:?}",
        names(&cluster)?
    );

    let (said, _) = with(&cluster, "delete", "004", "c")?;
    ensure!(
        said == "deployment my-app.c deleted\nservice my-service.c deleted\n",
        "{said}"
    );
    let (said, _) = with(&cluster, "plan", "004", "c")?;
    ensure!(
        said.contains("virtual service my-service.c would be created"),
        "{said}"
    );
    Ok(())
}

#[test]
fn of_a_set_with_something_wrong_nothing_is_applied() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start_with(&built_binary()?, &AGENT)?;
    let good = fs::read_to_string(manifests().join("002-nginx-deployment-deployment.yaml"))?;
    let other = good.replace("name: nginx-deployment", "name: other");
    let unknown = format!("{good}---\n{}", other.replace("replicas: 2", "replica: 2"));
    // What only the cluster knows to be too much.
    let resources = "image: nginx\n        resources: { requests: { cpu: 9 } }";
    let large = other.replace("image: nginx", resources);
    for (manifests, problem) in [
        (unknown, "<stdin>:26:3: spec.replica: unknown field"),
        (format!("{good}---\n{large}"), "service `other` asks for"),
    ] {
        let refused = cluster.run_with_input(&["service", "apply", "-f", "-"], &manifests)?;
        let said = text(&refused.stderr);
        ensure!(
            refused.status.code() == Some(2) && said.contains(problem),
            "{said}"
        );
        ensure!(names(&cluster)?.is_empty(), "{:?}", names(&cluster)?);
    }
    Ok(())
}

#[test]
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn the_replicas_of_all_three_sets_run_with_images_of_a_mirror() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let path = env::var_os("PATH").context("no PATH")?;
    let is_there = |tool: &&str| env::split_paths(&path).any(|dir| dir.join(tool).exists());
    if let Some(tool) = TOOLS.iter().find(|tool| !is_there(tool)) {
        println!("skipped: {tool} is not installed");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let host = dir.path().join("host");
    let ran = netns::create(&host, || {
        sh("ip link set lo up")?;
        fs::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        let _mirror = mirror(dir.path())?;
        let env = [
            ("PROFFER_REGISTRY_MIRROR", "docker.io=http://127.0.0.1:5000"),
            ("PROFFER_RESOURCES", AGENT[1]),
        ];
        let mut cluster = Cluster::start_with_env(&env)?;
        for (number, namespace) in ARTICLES {
            with(&cluster, "apply", number, namespace)?;
        }
        let all_run = || {
            replicas(&cluster).is_ok_and(|counts| {
                counts.len() == ARTICLES.len() && counts.iter().all(|(running, wanted)| running == wanted)
            })
        };
        let settled = wait_for(PATIENCE, all_run);
        ensure!(settled, "{}", cluster.ok(&["why", "web-app.a"])?);
        let counts = replicas(&cluster)?;
        ensure!(
            counts.iter().map(|(running, _)| running).sum::<u64>() == 7,
            "{counts:?}"
        );
        cluster.stop()?;
        Ok(())
    });
    netns::remove(&host)?;
    ran?
}
