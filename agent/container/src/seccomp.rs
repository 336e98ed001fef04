//! Seccomp filters: which system calls a task may make, compiled once into what the kernel runs at every call.
//!
//! A filter has two parts. The first decides by the call's number alone: a search through sorted ranges, a handful of
//! comparisons for any call, so that installing and running it stays cheap with hundreds of rules. What depends on
//! arguments goes on to the second, which seccompiler makes.

mod calls;
mod default;
mod profile;
mod search;

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule, TargetArch};
use thiserror::Error;

pub use self::default::default_filter;
pub use self::profile::profile_filter;
use self::search::Decision;

/// EPERM, what a call that is not allowed returns unless a profile says otherwise.
const EPERM: u32 = 1;
/// ENOSYS, so that a program falls back to an older call.
const ENOSYS: u32 = 38;

/// A filter that cannot be made.
#[derive(Debug, Error)]
pub enum SeccompError {
    #[error("system calls of this architecture ({0}) cannot be filtered")]
    Architecture(&'static str),
    #[error("not a seccomp profile: {0}")]
    Json(#[from] serde_json::Error),
    #[error("`{what}` of seccomp profiles cannot be honoured: {value}")]
    Unsupported { what: &'static str, value: String },
    #[error("unknown system call `{0}`: it cannot be denied")]
    UnknownCall(String),
    #[error("the rules with arguments have more than one action: `{first}` and `{second}`")]
    TwoActions { first: String, second: String },
    #[error("cannot compile the filter")]
    Compile(#[from] seccompiler::BackendError),
    #[error("the filter has {0} instructions, the kernel takes 4096")]
    TooLong(usize),
}

/// What a filter does, by number.
#[derive(Debug)]
struct Policy {
    /// Of calls that are in no rule.
    otherwise: SeccompAction,
    /// By number alone.
    calls: BTreeMap<u32, SeccompAction>,
    /// By number and arguments; `matched` is their action.
    conditional: BTreeMap<i64, Vec<SeccompRule>>,
    matched: SeccompAction,
    /// Calls with a higher number are unknown: they do not exist, as far as the task can tell.
    last: Option<u32>,
}

impl Policy {
    /// Compiles it: instructions as the kernel has them in `struct sock_filter`, 8 bytes each.
    fn compile(self) -> Result<Vec<u8>, SeccompError> {
        const MAX_INSTRUCTIONS: usize = 4096;
        let architecture = architecture()?;
        let decisions = search::ranges(&self);
        let mut program = search::program(architecture, &decisions);
        if decisions.iter().any(|(_, decision)| *decision == Decision::GoOn) {
            let rest = SeccompFilter::new(self.conditional, self.otherwise, self.matched, architecture)?;
            program.extend(BpfProgram::try_from(rest)?);
        }
        if program.len() > MAX_INSTRUCTIONS {
            return Err(SeccompError::TooLong(program.len()));
        }
        let bytes = program.iter().flat_map(|one| {
            let [a, b] = one.code.to_ne_bytes();
            let [c, d, e, f] = one.k.to_ne_bytes();
            [a, b, one.jt, one.jf, c, d, e, f]
        });
        Ok(bytes.collect())
    }
}

fn architecture() -> Result<TargetArch, SeccompError> {
    let name = std::env::consts::ARCH;
    TargetArch::try_from(name).map_err(|_| SeccompError::Architecture(name))
}

#[cfg(test)]
mod tests;
