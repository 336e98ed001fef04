//! Whose jobs the commands submit.

use clap::Args;
use proffer_batch_core::is_user;

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    /// Whose job it is, for queues and reports; whoever is logged in
    #[arg(long, env = "PROFFER_JOB_USER", value_name = "NAME")]
    user: Option<String>,
}

impl UserArgs {
    /// Who was named, or who is logged in; nobody, where that is no name of a user.
    pub(crate) fn name(self) -> String {
        self.user.unwrap_or_else(logged_in)
    }
}

/// Who is logged in; nobody, where that is no name of a user.
pub(crate) fn logged_in() -> String {
    let names = ["USER", "LOGNAME"].into_iter();
    let mut names = names.filter_map(|name| std::env::var(name).ok());
    names
        .find(|name| !name.is_empty() && is_user(name))
        .unwrap_or_default()
}
