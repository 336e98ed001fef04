//! Which devices a container may use: the rules, and the BPF program that enforces them on cgroup v2.
//!
//! What no rule allows is denied. The program is run by the kernel for each access (`BPF_PROG_TYPE_CGROUP_DEVICE`); it
//! has no loop and no call, and each rule is a handful of comparisons.

use std::fmt;

use proffer_types::container::DeviceAccess;

/// One allowed kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceRule {
    /// A block device; otherwise a character device.
    pub is_block: bool,
    /// `None` is any.
    pub major: Option<u32>,
    pub minor: Option<u32>,
    pub access: DeviceAccess,
}

const ALL: DeviceAccess = DeviceAccess {
    read: true,
    write: true,
    mknod: true,
};
const MKNOD: DeviceAccess = DeviceAccess {
    read: false,
    write: false,
    mknod: true,
};

const fn character(major: u32, minor: Option<u32>) -> DeviceRule {
    DeviceRule {
        is_block: false,
        major: Some(major),
        minor,
        access: ALL,
    }
}

const fn any(is_block: bool) -> DeviceRule {
    DeviceRule {
        is_block,
        major: None,
        minor: None,
        access: MKNOD,
    }
}

/// What every container may use, as the OCI runtimes have it: making any node is harmless where it cannot be opened. The
/// numbers are those of Documentation/admin-guide/devices.txt.
pub const DEFAULT_RULES: [DeviceRule; 10] = [
    any(false),
    any(true),
    // null, zero, full, random, urandom
    character(1, Some(3)),
    character(1, Some(5)),
    character(1, Some(7)),
    character(1, Some(8)),
    character(1, Some(9)),
    // tty, ptmx, pts/*
    character(5, Some(0)),
    character(5, Some(2)),
    character(136, None),
];

/// As cgroup v1's `devices.allow` takes it: `c 1:3 rwm`.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        let DeviceAccess { read, write, mknod } = self.access;
        let access = [(read, "r"), (write, "w"), (mknod, "m")];
        let access = access
            .into_iter()
            .filter(|(may, _)| *may)
            .map(|(_, letter)| letter);
        write!(
            f,
            "{} {}:{} {}",
            if self.is_block { 'b' } else { 'c' },
            number(self.major),
            number(self.minor),
            access.collect::<String>()
        )
    }
}

/// One instruction, as `struct bpf_insn` of linux/bpf.h has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    pub destination: u8,
    pub source: u8,
    pub offset: i16,
    pub immediate: i32,
}

impl Instruction {
    /// The instruction as the kernel of a little-endian machine takes it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        let [low, high] = self.offset.to_le_bytes();
        let [a, b, c, d] = self.immediate.to_le_bytes();
        [
            self.code,
            self.source << 4 | self.destination,
            low,
            high,
            a,
            b,
            c,
            d,
        ]
    }
}

/// Opcodes (Documentation/bpf/standardization/instruction-set.rst); arithmetic and jumps on 32 bits.
mod code {
    pub(super) const LOAD_WORD: u8 = 0x61;
    pub(super) const AND: u8 = 0x54;
    pub(super) const SHIFT_RIGHT: u8 = 0x74;
    pub(super) const MOVE: u8 = 0xb4;
    pub(super) const MOVE_REGISTER: u8 = 0xbc;
    pub(super) const JUMP_UNLESS_EQUAL: u8 = 0x56;
    pub(super) const JUMP_UNLESS_EQUAL_REGISTER: u8 = 0x5e;
    pub(super) const EXIT: u8 = 0x95;
}

/// Registers: the kernel passes the context in `CONTEXT` and takes the verdict from `VERDICT`.
mod register {
    pub(super) const VERDICT: u8 = 0;
    pub(super) const CONTEXT: u8 = 1;
    pub(super) const KIND: u8 = 2;
    pub(super) const ACCESS: u8 = 3;
    pub(super) const MAJOR: u8 = 4;
    pub(super) const MINOR: u8 = 5;
    /// The context is read only at the start, so its register is free afterwards.
    pub(super) const SCRATCH: u8 = CONTEXT;
}

/// `BPF_DEVCG_DEV_BLOCK` and `BPF_DEVCG_DEV_CHAR`.
const BLOCK: i32 = 1;
const CHARACTER: i32 = 2;

/// Assembles the program for some rules: its verdict is 1 where one of them allows all that is asked, else 0.
///
/// The context is `struct bpf_cgroup_dev_ctx`: three words, the access in the upper half of the first and the kind of
/// device in the lower, then major and minor.
#[must_use]
pub fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut program = vec![
        load(register::KIND, 0),
        immediate(code::AND, register::KIND, 0xffff),
        load(register::ACCESS, 0),
        immediate(code::SHIFT_RIGHT, register::ACCESS, 16),
        load(register::MAJOR, 4),
        load(register::MINOR, 8),
    ];
    for rule in rules {
        program.extend(compare(rule));
    }
    program.extend(verdict(0));
    program
}

fn compare(rule: &DeviceRule) -> Vec<Instruction> {
    let mut checks = vec![unless(
        register::KIND,
        if rule.is_block { BLOCK } else { CHARACTER },
    )];
    if rule.access != ALL {
        checks.extend([
            Instruction {
                source: register::ACCESS,
                ..immediate(code::MOVE_REGISTER, register::SCRATCH, 0)
            },
            immediate(code::AND, register::SCRATCH, mask(rule.access)),
            Instruction {
                source: register::ACCESS,
                ..immediate(code::JUMP_UNLESS_EQUAL_REGISTER, register::SCRATCH, 0)
            },
        ]);
    }
    checks.extend(
        rule.major
            .map(|major| unless(register::MAJOR, major.cast_signed())),
    );
    checks.extend(
        rule.minor
            .map(|minor| unless(register::MINOR, minor.cast_signed())),
    );
    checks.extend(verdict(1));
    // Every jump goes to the next rule, which is past the last instruction of this one.
    let n_instructions = checks.len();
    for (at, check) in checks.iter_mut().enumerate() {
        if matches!(
            check.code,
            code::JUMP_UNLESS_EQUAL | code::JUMP_UNLESS_EQUAL_REGISTER
        ) {
            check.offset = i16::try_from(n_instructions - at - 1).unwrap_or(i16::MAX);
        }
    }
    checks
}

/// `BPF_DEVCG_ACC_MKNOD`, `_READ` and `_WRITE`.
fn mask(access: DeviceAccess) -> i32 {
    i32::from(access.mknod) | i32::from(access.read) << 1 | i32::from(access.write) << 2
}

fn verdict(verdict: i32) -> [Instruction; 2] {
    [
        immediate(code::MOVE, register::VERDICT, verdict),
        immediate(code::EXIT, 0, 0),
    ]
}

fn load(destination: u8, offset: i16) -> Instruction {
    Instruction {
        source: register::CONTEXT,
        offset,
        ..immediate(code::LOAD_WORD, destination, 0)
    }
}

fn unless(register: u8, value: i32) -> Instruction {
    immediate(code::JUMP_UNLESS_EQUAL, register, value)
}

fn immediate(code: u8, destination: u8, immediate: i32) -> Instruction {
    Instruction {
        code,
        destination,
        source: 0,
        offset: 0,
        immediate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would do with the instructions that are used here.
    fn run(program: &[Instruction], context: [u32; 3]) -> u32 {
        let (mut registers, mut at) = ([0_u32; 11], 0);
        loop {
            let it = program[at];
            let (to, from) = (usize::from(it.destination), usize::from(it.source));
            let value = it.immediate.cast_unsigned();
            let jump = usize::try_from(it.offset).unwrap();
            at += 1;
            match it.code {
                code::LOAD_WORD => registers[to] = context[jump / 4],
                code::AND => registers[to] &= value,
                code::SHIFT_RIGHT => registers[to] >>= value,
                code::MOVE => registers[to] = value,
                code::MOVE_REGISTER => registers[to] = registers[from],
                code::JUMP_UNLESS_EQUAL if registers[to] != value => at += jump,
                code::JUMP_UNLESS_EQUAL_REGISTER if registers[to] != registers[from] => at += jump,
                code::JUMP_UNLESS_EQUAL | code::JUMP_UNLESS_EQUAL_REGISTER => {}
                code::EXIT => return registers[usize::from(register::VERDICT)],
                code => panic!("unknown instruction {code:#x}"),
            }
        }
    }

    fn access(bits: u32) -> DeviceAccess {
        DeviceAccess {
            mknod: bits & 1 != 0,
            read: bits & 2 != 0,
            write: bits & 4 != 0,
        }
    }

    /// The same by definition.
    fn allows(rules: &[DeviceRule], is_block: bool, bits: u32, major: u32, minor: u32) -> bool {
        rules.iter().any(|rule| {
            rule.is_block == is_block
                && mask(rule.access).cast_unsigned() & bits == bits
                && rule.major.is_none_or(|own| own == major)
                && rule.minor.is_none_or(|own| own == minor)
        })
    }

    #[test]
    fn the_program_allows_what_a_rule_allows_and_nothing_else() {
        let mut rules = DEFAULT_RULES.to_vec();
        rules.push(DeviceRule {
            is_block: true,
            major: Some(8),
            minor: Some(u32::MAX),
            access: access(2),
        });
        rules.push(DeviceRule {
            is_block: false,
            major: Some(195),
            minor: None,
            access: access(6),
        });
        let program = program(&rules);
        let numbers = [0, 1, 2, 3, 5, 7, 8, 9, 136, 195, u32::MAX];
        for (kind, is_block) in [(1, true), (2, false)] {
            for bits in 1..8 {
                for major in numbers {
                    for minor in numbers {
                        let verdict = run(&program, [bits << 16 | kind, major, minor]);
                        let expected = allows(&rules, is_block, bits, major, minor);
                        assert_eq!(
                            verdict == 1,
                            expected,
                            "block {is_block}, {bits}, {major}:{minor}"
                        );
                    }
                }
            }
        }
        assert!(allows(&rules, false, 7, 136, 9) && !allows(&rules, true, 2, 8, 0));
    }

    #[test]
    fn a_rule_is_written_as_cgroup_v1_takes_it() {
        let text = DEFAULT_RULES.map(|rule| rule.to_string());
        assert_eq!(text[0], "c *:* m");
        assert_eq!(text[2], "c 1:3 rwm");
        assert_eq!(text[9], "c 136:* rwm");
        let read = DeviceRule {
            is_block: true,
            major: Some(8),
            minor: Some(0),
            access: access(2),
        };
        assert_eq!(read.to_string(), "b 8:0 r");
    }

    #[test]
    fn instructions_are_laid_out_as_the_kernel_reads_them() {
        let bytes = Instruction {
            source: 3,
            offset: -2,
            ..immediate(code::JUMP_UNLESS_EQUAL, 4, 136)
        };
        assert_eq!(bytes.to_bytes(), [0x56, 0x34, 0xfe, 0xff, 136, 0, 0, 0]);
    }
}
