//! `proffer job graph`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::graph::{Graph, svg, text};
use crate::output::{print, terminal_width};
use crate::spec;
use crate::views::Ink;

/// Draw what comes after what in a job, and how far each task is
///
/// Of a large job, tasks that stand alike are drawn as one.
#[derive(Debug, Args)]
pub(crate) struct GraphArgs {
    /// A job's name, or a job file; `-` is stdin
    #[arg(value_name = "NAME|FILE")]
    job: String,
    /// Write a picture to this file instead
    #[arg(long, env = "PROFFER_SVG", value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn graph(args: GraphArgs) -> Result<u8> {
    let graph = match is_file(&args.job) {
        true => Graph::new(&spec::read_job(Path::new(&args.job))?, &[]),
        false => ask(&args).await?,
    };
    match args.svg {
        Some(path) => {
            std::fs::write(&path, svg(&graph)).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => print(&text(&graph, terminal_width(), Ink::of_stdout()))?,
    }
    Ok(0)
}

/// A name of a job has no slash; of one that ends like a file, the file is meant if it is there.
fn is_file(job: &str) -> bool {
    let path = Path::new(job);
    let extension = path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    job == "-" || job.contains('/') || (extension && path.exists())
}

async fn ask(args: &GraphArgs) -> Result<Graph> {
    let cluster = Cluster::connect(&args.master).await?;
    // Counts are enough, and a limit of 0 is the default one.
    let request = v1::GetJobRequest {
        name: args.job.clone(),
        limit: 1,
        ..Default::default()
    };
    let answer = cluster.jobs().get_job(request).await;
    let job = answer.map_err(|status| refused(&status))?.into_inner();
    let spec = job.spec.unwrap_or_default();
    Ok(Graph::new(&spec, &job.counts))
}
