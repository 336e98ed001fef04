//! The first part of a filter: a binary search for the range of a call's number.

use std::collections::BTreeSet;

use seccompiler::{SeccompAction, TargetArch, sock_filter};

use super::{ENOSYS, Policy};

/// What is decided by the number alone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Decision {
    Return(SeccompAction),
    /// By the second part.
    GoOn,
}

/// `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `.. BPF_JGE ..`, `BPF_JMP | BPF_JA`, `BPF_RET | BPF_K`.
const LOAD: u16 = 0x20;
const EQUALS: u16 = 0x15;
const AT_LEAST: u16 = 0x35;
const JUMP: u16 = 0x05;
const RETURN: u16 = 0x06;

/// Where `struct seccomp_data` has the number and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Ranges by their first number, each to the next; the first one starts at 0. Neighbours differ.
pub(super) fn ranges(policy: &Policy) -> Vec<(u32, Decision)> {
    let conditional = policy
        .conditional
        .keys()
        .filter_map(|number| u32::try_from(*number).ok());
    let named = policy
        .calls
        .keys()
        .copied()
        .chain(conditional)
        .collect::<BTreeSet<_>>();
    let after = |number: &u32| number.saturating_add(1);
    let mut starts = BTreeSet::from([0]);
    starts.extend(&named);
    starts.extend(named.iter().map(after));
    starts.extend(policy.last.iter().map(after));
    let mut ranges = Vec::<(u32, Decision)>::new();
    for start in starts {
        let decision = decide(policy, start);
        if ranges.last().is_none_or(|(_, last)| *last != decision) {
            ranges.push((start, decision));
        }
    }
    ranges
}

fn decide(policy: &Policy, number: u32) -> Decision {
    if policy.conditional.contains_key(&i64::from(number)) {
        return Decision::GoOn;
    }
    let is_unknown = policy.last.is_some_and(|last| number > last);
    let otherwise = if is_unknown {
        &SeccompAction::Errno(ENOSYS)
    } else {
        &policy.otherwise
    };
    Decision::Return(policy.calls.get(&number).unwrap_or(otherwise).clone())
}

/// The search, and before it the check that a call is one of this architecture: numbers of another mean other calls.
pub(super) fn program(architecture: TargetArch, ranges: &[(u32, Decision)]) -> Vec<sock_filter> {
    let mut program = vec![
        instruction(LOAD, 0, 0, ARCHITECTURE),
        instruction(EQUALS, 1, 0, audit_number(architecture)),
        instruction(RETURN, 0, 0, SeccompAction::KillProcess.into()),
        instruction(LOAD, 0, 0, NUMBER),
    ];
    let mut search = Vec::new();
    node(ranges, &mut search);
    let end = program.len() + search.len();
    let start = program.len();
    for (place, one) in search.into_iter().enumerate() {
        program.push(match one {
            Node::Instruction(one) => one,
            // Past the search; both lengths are below 4096.
            Node::GoOn => instruction(
                JUMP,
                0,
                0,
                u32::try_from(end - start - place - 1).unwrap_or(u32::MAX),
            ),
        });
    }
    program
}

enum Node {
    Instruction(sock_filter),
    GoOn,
}

/// Writes a node of the tree: a leaf, or a comparison, what is below it, and what is not.
fn node(ranges: &[(u32, Decision)], into: &mut Vec<Node>) {
    match ranges {
        [] => {}
        [(_, Decision::GoOn)] => into.push(Node::GoOn),
        [(_, Decision::Return(action))] => {
            into.push(Node::Instruction(instruction(
                RETURN,
                0,
                0,
                action.clone().into(),
            )));
        }
        _ => {
            let (below, rest) = ranges.split_at(ranges.len() / 2);
            let (mut left, first) = (Vec::new(), rest[0].0);
            node(below, &mut left);
            // Conditional jumps reach 255 instructions, the other kind any.
            into.push(Node::Instruction(instruction(AT_LEAST, 0, 1, first)));
            let over = u32::try_from(left.len()).unwrap_or(u32::MAX);
            into.push(Node::Instruction(instruction(JUMP, 0, 0, over)));
            into.extend(left);
            node(rest, into);
        }
    }
}

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

/// `AUDIT_ARCH_*` of linux/audit.h.
fn audit_number(architecture: TargetArch) -> u32 {
    match architecture {
        TargetArch::x86_64 => 0xc000_003e,
        TargetArch::aarch64 => 0xc000_00b7,
        TargetArch::riscv64 => 0xc000_00f3,
    }
}
