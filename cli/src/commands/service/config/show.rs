//! `proffer service config show`.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::{WrongUse, refused};
use crate::output::{self, OutputArgs};
use crate::views::ConfigView;

/// Show the keys of a config, or the value of one as it is
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    name: String,
    /// Its value is written to stdout, and nothing else
    #[arg(conflicts_with = "output")]
    key: Option<String>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn show(args: ShowArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let ask = async || {
        let name = args.name.clone();
        let answer = cluster.configs().get_config(v1::GetConfigRequest { name }).await;
        anyhow::Ok(answer.map_err(|status| refused(&status))?.into_inner())
    };
    let Some(key) = &args.key else {
        return output::show(args.output, async || Ok(ConfigView::from(ask().await?))).await;
    };
    let config = ask().await?.config.unwrap_or_default();
    if config.secret {
        return Err(WrongUse(format!("`{}` is a secret: its values are not shown", args.name)).into());
    }
    let value = config.entries.get(key);
    let value = value.ok_or_else(|| WrongUse(format!("the config `{}` has no key `{key}`", args.name)))?;
    std::io::stdout()
        .write_all(value)
        .context("cannot write to stdout")?;
    Ok(0)
}
