//! `proffer job dispatch`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use proffer_batch_core::MAX_PAYLOAD_BYTES;
use proffer_wire::v1;

use super::super::run::label;
use super::UserArgs;
use super::submit::wait;
use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::print;

/// Run a job that has parameters, and print the name of the run
#[derive(Debug, Args)]
pub(crate) struct DispatchArgs {
    name: String,
    /// The value of a parameter; may be given several times
    #[arg(
        short,
        long,
        env = "PROFFER_DISPATCH_PARAM",
        value_name = "KEY=VALUE",
        value_parser = label
    )]
    param: Vec<(String, String)>,
    /// A file for the run, of at most 16 KiB, whose path PROFFER_PAYLOAD tells its tasks; `-` is stdin
    #[arg(long, env = "PROFFER_DISPATCH_PAYLOAD", value_name = "FILE")]
    payload: Option<PathBuf>,
    /// What tells the run from others: the same again starts nothing, so a dispatch can safely be repeated
    #[arg(long, env = "PROFFER_DISPATCH_ID", value_name = "TOKEN")]
    id: Option<String>,
    /// The priority of the run, in place of the job's: higher goes first, -1000 to 1000
    #[arg(
        long,
        env = "PROFFER_DISPATCH_PRIORITY",
        value_name = "N",
        allow_negative_numbers = true
    )]
    priority: Option<i32>,
    /// Wait for the end, showing progress; exit with 0 when all finished, else with 1. Ctrl-C ends the waiting, not the run
    #[arg(long, env = "PROFFER_WAIT")]
    wait: bool,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn dispatch(args: DispatchArgs) -> Result<u8> {
    let mut values = std::collections::BTreeMap::new();
    for (name, value) in args.param {
        let earlier = values.insert(name.clone(), value);
        ensure!(earlier.is_none(), "`{name}` is given twice");
    }
    let request = v1::DispatchJobRequest {
        values,
        payload: args.payload.as_deref().map(read).transpose()?,
        token: args.id.unwrap_or_default(),
        priority: args.priority,
        user: args.user.name(),
        name: args.name,
    };
    let cluster = Cluster::connect(&args.master).await?;
    let answer = cluster.jobs().dispatch_job(request).await;
    let answer = answer.map_err(|status| refused(&status))?.into_inner();
    let v1::DispatchJobResponse {
        run,
        n_tasks,
        existed,
    } = answer;
    print(&format!("{run}\n"))?;
    if existed {
        eprintln!("it was dispatched before; nothing was started");
    }
    match args.wait {
        true => wait(&cluster, &run, n_tasks).await,
        false => Ok(0),
    }
}

/// Reads a payload; one byte more than is allowed tells that it is too large.
fn read(path: &Path) -> Result<Vec<u8>> {
    let mut payload = Vec::new();
    let most = MAX_PAYLOAD_BYTES as u64 + 1;
    let read = match path == Path::new("-") {
        true => io::stdin().take(most).read_to_end(&mut payload),
        false => File::open(path).and_then(|file| file.take(most).read_to_end(&mut payload)),
    };
    read.with_context(|| format!("cannot read {}", path.display()))?;
    ensure!(
        payload.len() <= MAX_PAYLOAD_BYTES,
        "the payload has more than {MAX_PAYLOAD_BYTES} bytes, the most that is allowed"
    );
    Ok(payload)
}
