//! `proffer registry move`.

use anyhow::{Context as _, Result};
use clap::Args;

use super::{Place, contents, now};
use crate::failure::WrongUse;

/// Move the registry from one store to another; no master starts on the old one any more
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// A data directory whose master has been stopped, or etcd://HOST:PORT[,HOST:PORT..][/PREFIX]
    from: Place,
    /// The same; it must be empty
    to: Place,
}

pub(super) async fn transfer(args: MoveArgs) -> Result<u8> {
    if args.from == args.to {
        return Err(WrongUse(format!("the registry is in {} already", args.to)).into());
    }
    let from = args.from.open().await?;
    let to = args.to.make().await?;
    let moved = proffer_master::transfer(&*from, &*to, &args.to.to_string(), now()).await;
    let moved = moved.with_context(|| format!("{} to {}", args.from, args.to))?;
    eprintln!("moved {} to {}", contents(&moved), args.to);
    Ok(0)
}
