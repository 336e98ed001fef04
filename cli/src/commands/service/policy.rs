//! `proffer service policy`.

use anyhow::Result;
use clap::{Args, Subcommand};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, print, show};
use crate::views::PoliciesView;

/// Show network policies, or delete one; `proffer service apply` creates and changes them
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    List(ListArgs),
    Delete(DeleteArgs),
}

/// Show all network policies, what they select, and where they are not enforced
#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Delete a network policy: what it alone forbids is allowed
#[derive(Debug, Args)]
struct DeleteArgs {
    /// `NAME`, or `NAME.NAMESPACE`
    name: String,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn policy(args: PolicyArgs) -> Result<u8> {
    match args.command {
        PolicyCommand::List(args) => list(args).await,
        PolicyCommand::Delete(args) => delete(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let request = v1::ListNetworkPoliciesRequest {};
        let answer = cluster.services().list_network_policies(request).await;
        Ok(PoliciesView::from(
            answer.map_err(|status| refused(&status))?.into_inner(),
        ))
    })
    .await
}

async fn delete(args: DeleteArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let name = args.name.clone();
    let request = v1::DeleteNetworkPolicyRequest { name };
    let deleted = cluster.services().delete_network_policy(request).await;
    deleted.map_err(|status| refused(&status))?;
    print(&format!("policy {} deleted\n", args.name))?;
    Ok(0)
}
