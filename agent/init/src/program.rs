//! The program init runs: instructions one after the other, each an opcode and its operands.
//!
//! Numbers are little-endian; texts end with a NUL, so that they can be handed to the kernel where they lie; a list
//! is its length as `u32` and its items.

use alloc::vec::Vec;

/// Stands at the head of a program's file. A later agent executes commands in a container by what it finds in the file of
/// its pid 1: so instructions keep their codes and operands for good, new ones come after the last, and the template keeps
/// its form. Where that cannot be, this is raised, and what an earlier version wrote is read as well.
const VERSION: u32 = 2;

/// The file of a program: before the program itself, what another program for the same container is made from.
#[must_use]
pub fn file(template: &[u8], program: &[u8]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.0.extend(VERSION.to_le_bytes());
    writer.bytes(template);
    writer.0.extend(program);
    writer.0
}

/// The two parts of a program's file; `None` when it is none of this version.
#[must_use]
pub fn split(file: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(file);
    if reader.length()? != VERSION {
        return None;
    }
    let template = reader.bytes()?;
    Some((template, reader.0))
}

/// One kind of instruction. A new one comes last: see [`VERSION`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Op {
    /// `name: text`
    SetHostname = 1,
    MakeMountsPrivate,
    /// `filesystem: text, target: text, attributes: u64, options: list of text`, a key and its value in turn.
    Mount,
    /// `path: text`: a copy of what is mounted there, for a later [`Op::Attach`]; numbered from 0 in their order.
    OpenTree,
    /// `tree: u64, target: text, attributes: u64, propagation: u64`: attaches a copy; the target is made where missing.
    Attach,
    /// `attributes: u64, recursive: u64`: of the root.
    SealRoot,
    /// `mount_point: text, base: text, lower: list of text, upper: text, work: text, flags: u64, uid: u64, gid: u64`:
    /// layers below `base` as the root; without an upper one it is in memory.
    MountRoot,
    /// `target: text, base: text, lower: list of text, flags: u64`: layers, read-only.
    MountLayers,
    /// `source: text, target: text, attributes: u64`: a file or directory of the root at another place of it.
    Show,
    /// Makes what [`Op::MountRoot`] mounted the root of the mount namespace.
    Pivot,
    /// `path: text`: hides it, where it is.
    Cover,
    /// `path: text`: read-only, where it is.
    ReadOnly,
    /// `path: text, mode: u64, uid: u64, gid: u64`; one that is there is left as it is.
    MakeDirectory,
    /// `path: text, mode: u64, device: u64, uid: u64, gid: u64`
    MakeNode,
    /// `path: text, target: text`
    MakeLink,
    /// `path: text, mode: u64, uid: u64, gid: u64, content: bytes`
    MakeFile,
    /// `path: text, value: text`: writes a file that is there.
    WriteFile,
    /// `path: text, flag: u64`: joins the namespace that the path is bound to.
    JoinNamespace,
    /// Starts the loopback interface.
    LoopbackUp,
    ForbidDumping,
    /// `flags, uid, gid, max_bytes, files: u64`, then for stdout and stderr `name: text, ends: list of u64`: makes
    /// what the payload reads from and writes to; see [`Stdio`].
    Stdio,
    /// `join, n_files: u64`: the one that is open from [`crate::fd::CGROUPS`] on is for [`Op::EnterPayload`].
    OpenCgroup,
    /// Starts the payload's process in the cgroup that was opened; pid 1 stays behind to supervise it.
    EnterPayload,
    /// `flags: u64`
    Unshare,
    /// `path: text`
    ChangeDirectory,
    /// `score: u64`
    OomScoreAdj,
    /// Enters the user namespace at [`crate::fd::USER_NAMESPACE`].
    EnterUserNamespace,
    /// `kind: u64, soft: u64, hard: u64`
    LimitResource,
    /// `mask: u64`, a bit for each capability that any program may still have.
    BoundCapabilities,
    /// `uid: u64, gid: u64, groups: list of u64`
    BecomeUser,
    /// `permitted: u64, ambient: u64`, a bit for each capability that is kept.
    KeepCapabilities,
    NoNewPrivileges,
    /// `filter: bytes`
    FilterCalls,
    /// `cgroup`: starts a process in the pid namespace of [`crate::fd::CONTAINER`]; the starting one stays behind to
    /// watch over it.
    EnterContainer,
    /// `container: u64, payload: u64`: joins these namespaces of the container's pid 1 and of the payload's first process.
    JoinNamespaces,
    /// `rows: u64, columns: u64`: a terminal of the container becomes stdin, stdout and stderr; its master is the agent's.
    OpenTerminal,
    /// `argv: list of text, env: list of text`
    Execute,
}

/// Every instruction, in the order of the opcodes from 1.
pub const OPS: [Op; 37] = [
    Op::SetHostname,
    Op::MakeMountsPrivate,
    Op::Mount,
    Op::OpenTree,
    Op::Attach,
    Op::SealRoot,
    Op::MountRoot,
    Op::MountLayers,
    Op::Show,
    Op::Pivot,
    Op::Cover,
    Op::ReadOnly,
    Op::MakeDirectory,
    Op::MakeNode,
    Op::MakeLink,
    Op::MakeFile,
    Op::WriteFile,
    Op::JoinNamespace,
    Op::LoopbackUp,
    Op::ForbidDumping,
    Op::Stdio,
    Op::OpenCgroup,
    Op::EnterPayload,
    Op::Unshare,
    Op::ChangeDirectory,
    Op::OomScoreAdj,
    Op::EnterUserNamespace,
    Op::LimitResource,
    Op::BoundCapabilities,
    Op::BecomeUser,
    Op::KeepCapabilities,
    Op::NoNewPrivileges,
    Op::FilterCalls,
    Op::EnterContainer,
    Op::JoinNamespaces,
    Op::OpenTerminal,
    Op::Execute,
];

impl Op {
    /// The instruction with that opcode.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        OPS.get(usize::from(code).checked_sub(1)?).copied()
    }

    /// What it does, to complete "cannot ..".
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::SetHostname => "set the host name",
            Self::MakeMountsPrivate => "make mounts private",
            Self::Mount => "mount",
            Self::OpenTree => "open for mounting",
            Self::Attach => "mount on",
            Self::SealRoot => "change the mounts of the root",
            Self::MountRoot => "mount the image's layers as the root",
            Self::MountLayers => "mount an image's layers on",
            Self::Show => "show a file at",
            Self::Pivot => "enter the root",
            Self::Cover => "hide",
            Self::ReadOnly => "make read-only",
            Self::MakeDirectory => "make the directory",
            Self::MakeNode => "make the device",
            Self::MakeLink => "make the link",
            Self::MakeFile => "make the file",
            Self::WriteFile => "write to",
            Self::JoinNamespace => "join the namespace at",
            Self::LoopbackUp => "start the loopback interface",
            Self::ForbidDumping => "make init undumpable",
            Self::Stdio => "make pipes or a terminal",
            Self::OpenCgroup => "take the cgroup",
            Self::EnterPayload => "start the payload's process",
            Self::Unshare => "enter new namespaces",
            Self::ChangeDirectory => "change into",
            Self::OomScoreAdj => "write",
            Self::EnterUserNamespace => "enter the user namespace",
            Self::LimitResource => "limit the resources of a process",
            Self::BoundCapabilities => "bound capabilities",
            Self::BecomeUser => "become the task's user",
            Self::KeepCapabilities => "drop capabilities",
            Self::NoNewPrivileges => "set no_new_privs",
            Self::FilterCalls => "install the seccomp filter",
            Self::EnterContainer => "start a process in the container",
            Self::JoinNamespaces => "join the container's namespaces",
            Self::OpenTerminal => "open a terminal of the container",
            Self::Execute => "execute",
        }
    }
}

/// How a new process gets into its cgroup; with the list of files or directories an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Join {
    /// cgroup v2: it is born in the one directory listed.
    Born = 0,
    /// cgroup v1: it writes itself into each `tasks` file listed.
    Write = 1,
}

/// The flags of [`Op::MountRoot`] and [`Op::MountLayers`].
#[derive(Debug)]
pub struct Overlay;

impl Overlay {
    /// Files have the ids of [`crate::fd::USER_NAMESPACE`].
    pub const ID_MAPPED: u64 = 1;
    /// overlayfs has its own attributes in the user's: mount option `userxattr`.
    pub const USER_ATTRIBUTES: u64 = 2;
}

/// The flags of [`Op::Stdio`].
#[derive(Debug)]
pub struct Stdio;

impl Stdio {
    /// stdin is a pipe that attached clients write to; else it is empty.
    pub const STDIN: u64 = 1;
    /// All three are a terminal.
    pub const TERMINAL: u64 = 2;
}

/// Writes a program.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn op(&mut self, op: Op) -> &mut Self {
        self.0.push(op as u8);
        self
    }

    pub fn join(&mut self, join: Join) -> &mut Self {
        self.0.push(join as u8);
        self
    }

    pub fn number(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_le_bytes());
        self
    }

    /// Appends a text, which must not contain a NUL.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.0.extend(text.as_ref());
        self.0.push(0);
        self
    }

    /// Appends bytes, which may hold anything.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let n_bytes = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend(n_bytes.to_le_bytes());
        self.0.extend(bytes);
        self
    }

    /// Appends a list of numbers.
    pub fn numbers(&mut self, numbers: &[u64]) -> &mut Self {
        let n_items = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        self.0.extend(n_items.to_le_bytes());
        for number in numbers {
            self.number(*number);
        }
        self
    }

    /// Appends a list. Programs are far below 4 Gi items.
    pub fn list<T: AsRef<[u8]>>(&mut self, items: &[T]) -> &mut Self {
        let n_items = u32::try_from(items.len()).unwrap_or(u32::MAX);
        self.0.extend(n_items.to_le_bytes());
        for item in items {
            self.text(item);
        }
        self
    }
}

/// Reads a program; every read is `None` past the end.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    pub fn number(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    pub fn length(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = usize::try_from(self.length()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    pub fn join(&mut self) -> Option<Join> {
        match self.byte()? {
            0 => Some(Join::Born),
            1 => Some(Join::Write),
            _ => None,
        }
    }

    pub fn text(&mut self) -> Option<&'a core::ffi::CStr> {
        let text = core::ffi::CStr::from_bytes_until_nul(self.0).ok()?;
        self.0 = self.0.get(text.to_bytes_with_nul().len()..)?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_reads_as_it_was_written() {
        let mut writer = Writer::default();
        writer
            .op(Op::Unshare)
            .number(7)
            .join(Join::Write)
            .list(&["/a", ""])
            .bytes(b"\0x")
            .numbers(&[3]);
        let mut reader = Reader(&writer.0);
        assert_eq!(reader.byte().and_then(Op::from_code), Some(Op::Unshare));
        assert_eq!(reader.number(), Some(7));
        assert_eq!(reader.join(), Some(Join::Write));
        assert_eq!(reader.length(), Some(2));
        assert_eq!(reader.text(), Some(c"/a"));
        assert_eq!(reader.text(), Some(c""));
        assert_eq!(reader.bytes(), Some(&b"\0x"[..]));
        assert_eq!((reader.length(), reader.number()), (Some(1), Some(3)));
        assert_eq!(reader.byte(), None);
    }

    #[test]
    fn a_file_is_two_parts_of_this_version() {
        let mut bytes = file(b"one", b"two");
        assert_eq!(split(&bytes), Some((&b"one"[..], &b"two"[..])));
        bytes[0] += 1;
        assert_eq!(split(&bytes), None);
    }

    #[test]
    fn instructions_that_confine_a_process_keep_their_codes() {
        let kept = [
            (Op::ChangeDirectory, 25),
            (Op::OomScoreAdj, 26),
            (Op::LimitResource, 28),
            (Op::BoundCapabilities, 29),
            (Op::BecomeUser, 30),
            (Op::KeepCapabilities, 31),
            (Op::NoNewPrivileges, 32),
            (Op::FilterCalls, 33),
        ];
        for (op, code) in kept {
            assert_eq!(op as u8, code, "{op:?}");
        }
    }

    #[test]
    fn every_opcode_names_its_instruction() {
        for op in OPS {
            assert_eq!(Op::from_code(op as u8), Some(op));
        }
        assert_eq!(Op::from_code(0), None);
        let past = u8::try_from(OPS.len() + 1).unwrap();
        assert_eq!(Op::from_code(past), None);
    }
}
