//! The numbers of system calls, from the table that seccompiler has.

use seccompiler::{BpfMap, TargetArch};

/// The comparison of a call's number with a constant: `BPF_JMP | BPF_JEQ | BPF_K`.
const EQUALS: u16 = 0x15;

/// The number of a system call on an architecture; `None` when it has none of that name.
///
/// The table itself is not to be had, but a filter of one rule shows the number it compares with.
pub(super) fn number(name: &str, architecture: TargetArch) -> Option<u32> {
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return None;
    }
    let filter = format!(
        r#"{{"it":{{"mismatch_action":"allow","match_action":"log","filter":[{{"syscall":"{name}"}}]}}}}"#
    );
    let mut compiled: BpfMap = seccompiler::compile_from_json(filter.as_bytes(), architecture).ok()?;
    let program = compiled.remove("it")?;
    let compared = program.iter().filter(|one| one.code == EQUALS);
    // The first comparison is that of the architecture.
    compared.skip(1).map(|one| one.k).next()
}
