//! `proffer images`.

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, print, show};
use crate::views::ImageView;

/// List an agent's images, or pull and prune them
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    command: Option<ImagesCommand>,
    /// The agent's id, or the beginning of it, as `proffer agents` shows it; absent means the only one there is
    agent: Option<String>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    Pull(PullArgs),
    Prune(PruneArgs),
}

/// Get an image before a task needs it
#[derive(Debug, Args)]
struct PullArgs {
    /// The agent's id, or the beginning of it
    agent: String,
    /// `[registry/]name[:tag][@digest]`, `oci:/path[:tag]` or `oci-archive:/path[:tag]`, paths being the agent's
    reference: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// Remove all images of an agent that no container uses
#[derive(Debug, Args)]
struct PruneArgs {
    /// The agent's id, or the beginning of it
    agent: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn images(args: ImagesArgs) -> Result<u8> {
    match (args.command, args.agent) {
        (Some(ImagesCommand::Pull(args)), _) => pull(args).await,
        (Some(ImagesCommand::Prune(args)), _) => prune(args).await,
        (None, agent) => list(agent.as_deref(), &args.master, args.output).await,
    }
}

async fn list(agent: Option<&str>, master: &MasterArgs, output: OutputArgs) -> Result<u8> {
    let cluster = Cluster::connect(master).await?;
    let address = match agent {
        Some(agent) => cluster.find_agent(agent).await?,
        None => cluster.only_agent().await?,
    };
    show(output, async || {
        let answer = cluster
            .images(&address)?
            .list_images(v1::ListImagesRequest {})
            .await;
        let list = answer.map_err(|status| refused(&status))?.into_inner().images;
        Ok(Rows(list.into_iter().map(ImageView::from).collect()))
    })
    .await
}

async fn pull(args: PullArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let address = cluster.find_agent(&args.agent).await?;
    let request = v1::PullImageRequest {
        reference: args.reference,
    };
    let answer = cluster.images(&address)?.pull_image(request).await;
    let mut stream = answer.map_err(|status| refused(&status))?.into_inner();
    let bar = ProgressBar::new(0);
    bar.set_style(
        ProgressStyle::with_template("{msg} [{bar:40}] {bytes}/{total_bytes}")?.progress_chars("=> "),
    );
    while let Some(now) = stream.message().await.map_err(|status| refused(&status))? {
        bar.set_length(now.bytes);
        bar.set_position(now.bytes_done);
        bar.set_message(format!("{} of {} layers", now.layers_done, now.layers));
        if !now.id.is_empty() {
            bar.finish_and_clear();
            print(&format!("{}\n", now.id))?;
            return Ok(0);
        }
    }
    anyhow::bail!("the agent ended the pull without saying why")
}

async fn prune(args: PruneArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let address = cluster.find_agent(&args.agent).await?;
    let answer = cluster
        .images(&address)?
        .prune_images(v1::PruneImagesRequest {})
        .await;
    let pruned = answer.map_err(|status| refused(&status))?.into_inner();
    let v1::PruneImagesResponse {
        images,
        layers,
        bytes,
    } = pruned;
    let size = proffer_types::resources::format::format_size(bytes);
    print(&format!("removed {images} images, {layers} layers, {size}\n"))?;
    Ok(0)
}
