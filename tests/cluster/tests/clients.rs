//! Everybody else's clients: Python over gRPC, an author's own framework, curl, grpcurl.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, get, skipped, text};

fn repository() -> PathBuf {
    // Asked when it runs: a target directory outlives the checkout it was built from.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    Path::new(&package).join("../..")
}

#[test]
fn master_and_agent_answer_plain_http_on_their_grpc_port() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    cluster.ok(&["run", "--", "true"])?;
    let agents = cluster.json(&["agents"])?;
    let agent = agents[0]["address"]
        .as_str()
        .context("no agent address")?
        .to_owned();
    for (address, metric) in [(cluster.master()?, "proffer_master_"), (agent, "proffer_agent_")] {
        for path in ["/healthz", "/readyz", "/metrics", "/"] {
            let (status, body) = get(&address, path)?;
            assert!(status.contains("200"), "{address}{path}: {status}");
            assert!(!body.is_empty(), "{address}{path}");
            if path == "/metrics" {
                assert!(body.contains(metric), "{body}");
            }
            if path == "/" {
                assert!(body.contains("/metrics"), "{body}");
            }
        }
        assert!(get(&address, "/no-such-page")?.0.contains("404"), "{address}");
    }
    Ok(())
}

#[tokio::test]
async fn reflection_lists_every_service_and_health_is_serving() -> Result<()> {
    use tonic_health::pb::health_client::HealthClient;
    use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let agents = cluster.json(&["agents"])?;
    let agent = agents[0]["address"]
        .as_str()
        .context("no agent address")?
        .to_owned();
    for (address, services) in [
        (
            cluster.master()?,
            &["Scheduler", "AgentLink", "Operator", "Jobs", "Services"][..],
        ),
        (agent, &["Agent"][..]),
    ] {
        let channel = tonic::transport::Endpoint::new(format!("http://{address}"))?
            .connect()
            .await?;
        let mut health = HealthClient::new(channel.clone());
        let answer = health.check(HealthCheckRequest::default()).await?.into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{address}");

        let mut reflection = ServerReflectionClient::new(channel);
        let request = tonic_reflection::pb::v1::ServerReflectionRequest {
            message_request: Some(MessageRequest::ListServices(String::new())),
            ..Default::default()
        };
        let mut answers = reflection
            .server_reflection_info(tokio_stream::iter([request]))
            .await?
            .into_inner();
        let answer = answers
            .message()
            .await?
            .and_then(|answer| answer.message_response);
        let Some(MessageResponse::ListServicesResponse(list)) = answer else {
            anyhow::bail!("{address} answered {answer:?}")
        };
        for service in services {
            let name = format!("proffer.v1.{service}");
            assert!(
                list.service.iter().any(|listed| listed.name == name),
                "{name}: {list:?}"
            );
        }
    }
    Ok(())
}

#[test]
fn an_authors_framework_of_under_80_lines_runs_its_tasks() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let source = std::fs::read_to_string(repository().join("frameworks/sdk/examples/hello.rs"))?;
    assert!(source.lines().count() < 80, "{} lines", source.lines().count());
    let hello = built_binary()?.with_file_name("examples").join("hello");
    let cluster = Cluster::start()?;
    let done = Command::new(&hello)
        .arg(cluster.master()?)
        .output()
        .with_context(|| hello.display().to_string())?;
    ensure!(
        done.status.success(),
        "{}: {}{}",
        done.status,
        text(&done.stdout),
        text(&done.stderr)
    );
    Ok(())
}

#[test]
fn a_python_client_submits_a_job_waits_and_prints_its_result() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let done = Command::new("sh")
        .arg(repository().join("examples/python/run.sh"))
        .env("PROFFER_MASTER", cluster.master()?)
        .output()?;
    let printed = text(&done.stdout);
    ensure!(
        done.status.success(),
        "{}: {printed}{}",
        done.status,
        text(&done.stderr)
    );
    assert!(printed.contains("hello from python"), "{printed}");
    Ok(())
}
