//! `proffer files get`.
//!
//! Names come from the task: each is one part of a path, and a file is never written through a link that is there.

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_wire::v1;
use tokio::fs::OpenOptions;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::Sandbox;
use crate::client::MasterArgs;
use crate::failure::{output_error, refused};
use crate::views::{is_directory, is_plain_file};

/// `O_NOFOLLOW`.
const NOFOLLOW: i32 = 0o400_000;

/// The deepest directory that is followed: far below what the length of a path allows.
const MAX_DEPTH: usize = 100;

#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The task's id, as `proffer tasks --all` shows it
    task: String,
    /// Relative to the task's sandbox; `.` is all of it
    path: String,
    /// Where to: a file or an existing directory, or `-` for stdout; absent means here, under its own name
    dest: Option<PathBuf>,
    #[command(flatten)]
    master: MasterArgs,
}

/// A directory or file to be downloaded.
struct Item {
    /// Relative to the sandbox.
    from: String,
    to: PathBuf,
    depth: usize,
}

pub(super) async fn get(args: GetArgs) -> Result<u8> {
    let sandbox = Sandbox::of(&args.master, &args.task).await?;
    let is_dir = is_of_directory(&sandbox, &args.path).await?;
    if args.dest.as_deref() == Some(Path::new("-")) {
        anyhow::ensure!(
            !is_dir,
            "`{}` is a directory, and does not fit into stdout",
            args.path
        );
        let mut stdout = tokio::io::stdout();
        sandbox.copy(&args.path, &mut stdout).await?;
        return Ok(0);
    }
    let to = destination(&args);
    let mut waiting = vec![Item {
        from: args.path.clone(),
        to,
        depth: 0,
    }];
    if !is_dir {
        let Some(item) = waiting.pop() else { return Ok(0) };
        sandbox.download(&item.from, &item.to).await?;
        return Ok(0);
    }
    while let Some(item) = waiting.pop() {
        waiting.extend(directory(&sandbox, item).await?);
    }
    Ok(0)
}

/// What is there: the sandbox itself and everything that lists other than as itself is a directory.
async fn is_of_directory(sandbox: &Sandbox, path: &str) -> Result<bool> {
    let trimmed = path.trim_matches('/');
    let plain = Path::new(trimmed)
        .components()
        .filter(|part| part.as_os_str() != ".");
    let parts: Vec<_> = plain.collect();
    let Some((last, parents)) = parts.split_last() else {
        return Ok(true);
    };
    let parent: PathBuf = parents.iter().collect();
    let last = last.as_os_str().to_string_lossy();
    let entries = sandbox.list(&parent.to_string_lossy()).await?;
    let found = entries.into_iter().find(|entry| entry.name == last);
    let found = found.with_context(|| format!("the task has no file `{path}`"))?;
    anyhow::ensure!(
        is_directory(found.mode) || is_plain_file(found.mode),
        "`{path}` is neither a plain file nor a directory"
    );
    Ok(is_directory(found.mode))
}

fn destination(args: &GetArgs) -> PathBuf {
    let name = Path::new(&args.path)
        .file_name()
        .map_or_else(|| PathBuf::from(&args.task), PathBuf::from);
    match &args.dest {
        None => name,
        Some(dest) if dest.is_dir() => dest.join(name),
        Some(dest) => dest.clone(),
    }
}

/// Makes a directory, downloads its files, and answers its directories. What is neither is left out, and said.
async fn directory(sandbox: &Sandbox, item: Item) -> Result<Vec<Item>> {
    anyhow::ensure!(
        item.depth <= MAX_DEPTH,
        "`{}` is more than {MAX_DEPTH} directories deep",
        item.from
    );
    match std::fs::create_dir(&item.to) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists || item.to.is_symlink() => {
            return Err(error).with_context(|| format!("cannot create {}", item.to.display()));
        }
        Ok(()) | Err(_) => {}
    }
    let mut directories = Vec::new();
    for entry in sandbox.list(&item.from).await? {
        let from = format!("{}/{}", item.from.trim_end_matches('/'), entry.name);
        let is_one_part = Path::new(&entry.name)
            .file_name()
            .is_some_and(|name| name == entry.name.as_str());
        anyhow::ensure!(
            is_one_part,
            "the agent sent `{}` as a file's name",
            entry.name.escape_debug()
        );
        let to = item.to.join(&entry.name);
        if is_directory(entry.mode) {
            let depth = item.depth + 1;
            directories.push(Item { from, to, depth });
        } else if is_plain_file(entry.mode) {
            sandbox.download(&from, &to).await?;
        } else {
            eprintln!("proffer: left out `{}`: it is no plain file", from.escape_debug());
        }
    }
    Ok(directories)
}

impl Sandbox {
    async fn download(&self, from: &str, to: &Path) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        options
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(NOFOLLOW);
        let opened = OpenOptions::from(options).open(to).await;
        let mut file = opened.with_context(|| format!("cannot create {}", to.display()))?;
        self.copy(from, &mut file).await
    }

    async fn copy(&self, path: &str, to: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        let request = v1::ReadFileRequest {
            framework_id: self.framework_id.clone(),
            task_id: self.task_id.clone(),
            path: path.to_owned(),
            offset: 0,
            length: None,
        };
        let answer = self.agent.clone().read_file(request).await;
        let mut chunks = answer.map_err(|status| refused(&status))?.into_inner();
        while let Some(chunk) = chunks.message().await.map_err(|status| refused(&status))? {
            to.write_all(&chunk.data).await.map_err(output_error)?;
        }
        to.flush().await.map_err(output_error)
    }
}
