//! What a task may do beyond running.
//!
//! The default is the strictest; what loosens it needs the consent of the agent's operator.

/// Privileges of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Security {
    /// Beside [`Capability::DEFAULT`].
    pub add_capabilities: Vec<Capability>,
    /// From [`Capability::DEFAULT`].
    pub drop_capabilities: Vec<Capability>,
    /// Whether set-user-id programs work: `no_new_privs` is not set.
    pub may_gain_privileges: bool,
    pub seccomp: Seccomp,
    pub user_namespace: UserNamespace,
    /// Whether the image's files cannot be written. Without an image they never can.
    pub read_only_root: bool,
    /// Devices beside those every task has.
    pub devices: Vec<DeviceSpec>,
}

/// Which system calls a task may make.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// The agent's default filter.
    #[default]
    Default,
    /// Any.
    Unconfined,
    /// A profile of the agent's, by name.
    Profile(String),
}

/// Whose user ids a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum UserNamespace {
    /// Its own: root in the task is nobody outside.
    #[default]
    Private,
    /// The host's.
    Host,
}

/// One device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Absolute, of a character or block device.
    pub path: String,
    pub access: DeviceAccess,
}

/// What may be done with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceAccess {
    pub read: bool,
    pub write: bool,
    /// Make the node.
    pub mknod: bool,
}

macro_rules! capabilities {
    ($($name:ident = $number:literal $text:literal,)*) => {
        /// A Linux capability, with the kernel's number; see capabilities(7).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Capability { $($name = $number,)* }

        impl Capability {
            /// Every capability, by number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name without its `CAP_`: `NET_ADMIN`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

capabilities! {
    Chown = 0 "CHOWN",
    DacOverride = 1 "DAC_OVERRIDE",
    DacReadSearch = 2 "DAC_READ_SEARCH",
    Fowner = 3 "FOWNER",
    Fsetid = 4 "FSETID",
    Kill = 5 "KILL",
    Setgid = 6 "SETGID",
    Setuid = 7 "SETUID",
    Setpcap = 8 "SETPCAP",
    LinuxImmutable = 9 "LINUX_IMMUTABLE",
    NetBindService = 10 "NET_BIND_SERVICE",
    NetBroadcast = 11 "NET_BROADCAST",
    NetAdmin = 12 "NET_ADMIN",
    NetRaw = 13 "NET_RAW",
    IpcLock = 14 "IPC_LOCK",
    IpcOwner = 15 "IPC_OWNER",
    SysModule = 16 "SYS_MODULE",
    SysRawio = 17 "SYS_RAWIO",
    SysChroot = 18 "SYS_CHROOT",
    SysPtrace = 19 "SYS_PTRACE",
    SysPacct = 20 "SYS_PACCT",
    SysAdmin = 21 "SYS_ADMIN",
    SysBoot = 22 "SYS_BOOT",
    SysNice = 23 "SYS_NICE",
    SysResource = 24 "SYS_RESOURCE",
    SysTime = 25 "SYS_TIME",
    SysTtyConfig = 26 "SYS_TTY_CONFIG",
    Mknod = 27 "MKNOD",
    Lease = 28 "LEASE",
    AuditWrite = 29 "AUDIT_WRITE",
    AuditControl = 30 "AUDIT_CONTROL",
    Setfcap = 31 "SETFCAP",
    MacOverride = 32 "MAC_OVERRIDE",
    MacAdmin = 33 "MAC_ADMIN",
    Syslog = 34 "SYSLOG",
    WakeAlarm = 35 "WAKE_ALARM",
    BlockSuspend = 36 "BLOCK_SUSPEND",
    AuditRead = 37 "AUDIT_READ",
    Perfmon = 38 "PERFMON",
    Bpf = 39 "BPF",
    CheckpointRestore = 40 "CHECKPOINT_RESTORE",
}

impl Capability {
    /// What a task keeps when it does not say: the OCI runtimes' default set without `MKNOD`. `SYS_PTRACE` is not among
    /// them, so that pid 1 of the container stays out of reach.
    pub const DEFAULT: &[Self] = &[
        Self::Chown,
        Self::DacOverride,
        Self::Fowner,
        Self::Fsetid,
        Self::Kill,
        Self::Setgid,
        Self::Setuid,
        Self::Setpcap,
        Self::NetBindService,
        Self::NetRaw,
        Self::SysChroot,
        Self::AuditWrite,
        Self::Setfcap,
    ];

    /// Finds one by name, in any case, with or without `CAP_`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|one| one.as_str() == bare)
    }
}
