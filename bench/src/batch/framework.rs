//! The batch framework as a process of its own at a master, and its API, reached through the master's port as by any client.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use proffer_grpc::v1::jobs_client::JobsClient;
use proffer_wire::v1;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::fleet::cpu_ms;
use crate::masters::{Daemon, Masters};
use crate::reference::rss_mib;

const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked whether it is there.
const LOOK: Duration = Duration::from_millis(5);
/// Submissions under way at once, as of many clients.
const AT_ONCE: usize = 32;

/// A master and the framework, both on RocksDB.
#[derive(Debug)]
pub(super) struct Framework {
    binary: PathBuf,
    dir: tempfile::TempDir,
    masters: Masters,
    daemon: Option<Daemon>,
    runtime: Runtime,
    jobs: JobsClient<Channel>,
}

impl Framework {
    pub(super) fn start(binary: &Path) -> Result<Self> {
        let masters = Masters::rocksdb(binary)?;
        let address = masters.addresses.first().context("no master")?;
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        let mut framework = Self {
            binary: binary.to_owned(),
            dir: tempfile::Builder::new().prefix("proffer-bench-").tempdir()?,
            masters,
            daemon: None,
            runtime,
            jobs: JobsClient::new(channel),
        };
        framework.start_daemon()?;
        framework.wait_until(|jobs| jobs.is_empty())?;
        Ok(framework)
    }

    pub(super) fn masters(&self) -> Vec<String> {
        self.masters.addresses.clone()
    }

    fn start_daemon(&mut self) -> Result<()> {
        let data_dir = self.dir.path().join("batch").display().to_string();
        let masters = self.masters.addresses.join(",");
        let args = [
            "framework",
            "batch",
            "--master",
            &masters,
            "--data-dir",
            &data_dir,
        ];
        self.daemon = Some(Daemon::start(
            &self.binary,
            &args,
            &self.dir.path().join("batch.log"),
        )?);
        Ok(())
    }

    /// Kills it with SIGKILL and starts it again: seconds from its start until its API shows that all is there.
    pub(super) fn restart(&mut self, is_there: impl Fn(&[Summary]) -> bool) -> Result<f64> {
        self.daemon.take().context("it does not run")?.kill_9()?;
        let start = Instant::now();
        self.start_daemon()?;
        self.wait_until(is_there)?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn wait_until(&self, holds: impl Fn(&[Summary]) -> bool) -> Result<()> {
        let start = Instant::now();
        let mut last = String::new();
        while start.elapsed() < PATIENCE {
            match self.list() {
                Ok(jobs) if holds(&jobs) => return Ok(()),
                Ok(jobs) => last = format!("{} jobs", jobs.len()),
                Err(error) => last = format!("{error:#}"),
            }
            thread::sleep(LOOK);
        }
        bail!(
            "the batch framework is not there after {PATIENCE:?}: {last}; see {}",
            self.dir.path().display()
        )
    }

    pub(super) fn list(&self) -> Result<Vec<Summary>> {
        let mut jobs = self.jobs.clone().max_decoding_message_size(usize::MAX);
        let listed = self
            .runtime
            .block_on(jobs.list_jobs(v1::ListJobsRequest::default()))?;
        Ok(listed.into_inner().jobs)
    }

    pub(super) fn submit(&self, spec: v1::JobSpec) -> Result<()> {
        self.submit_all(vec![spec])
    }

    /// Submits all of them; one that has to wait for the framework's subscription is tried again.
    pub(super) fn submit_all(&self, specs: Vec<v1::JobSpec>) -> Result<()> {
        let submissions = specs.into_iter().map(|spec| submit(self.jobs.clone(), spec));
        let all = futures::stream::iter(submissions).buffer_unordered(AT_ONCE);
        self.runtime.block_on(all.try_collect::<Vec<()>>())?;
        Ok(())
    }

    /// One job, with a single index of it.
    pub(super) fn job(&self, name: &str) -> Result<v1::Job> {
        let request = v1::GetJobRequest {
            name: name.to_owned(),
            limit: 1,
            ..Default::default()
        };
        let mut jobs = self.jobs.clone();
        Ok(self.runtime.block_on(jobs.get_job(request))?.into_inner())
    }

    pub(super) fn rss_mib(&self) -> Result<f64> {
        rss_mib(self.pid()?)
    }

    /// Milliseconds of processor time of the framework and of the master.
    pub(super) fn cpu_ms(&self) -> Result<[f64; 2]> {
        Ok([cpu_ms(self.pid()?)?, self.masters.cpu_ms(0)?])
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.daemon.as_ref().context("it does not run")?.pid())
    }
}

pub(super) type Summary = v1::list_jobs_response::JobSummary;

async fn submit(mut jobs: JobsClient<Channel>, spec: v1::JobSpec) -> Result<()> {
    let start = Instant::now();
    loop {
        let request = v1::SubmitJobRequest {
            spec: Some(spec.clone()),
        };
        match jobs.submit_job(request).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::Unavailable && start.elapsed() < PATIENCE => {
                tokio::time::sleep(LOOK).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// A job of one task, an array of `true`, that asks for so much cpu.
pub(crate) fn array(name: &str, count: u32, cpus: f64) -> v1::JobSpec {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        value: Some(v1::resource::Value::Scalar(value)),
        ..Default::default()
    };
    let items = vec![scalar("cpus", cpus), scalar("mem", f64::from(8 << 20))];
    v1::JobSpec {
        name: name.to_owned(),
        tasks: vec![v1::JobTask {
            name: "noop".to_owned(),
            count,
            resources: Some(v1::Resources { items }),
            container: Some(v1::ContainerSpec {
                command: vec!["true".to_owned()],
                ..Default::default()
            }),
            ..Default::default()
        }],
        ..Default::default()
    }
}
