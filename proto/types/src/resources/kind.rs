//! What sets resources apart from plain ones: a stack of reservations, a persistent volume, being
//! revocable. Resources of different kinds never merge and never stand in for one another.
//!
//! The rules a kind keeps: roles get strictly more specific up the stack; `*` cannot be reserved to; only
//! the bottom may be static; a volume needs a reservation; revocable resources have neither.

use std::collections::BTreeMap;

use thiserror::Error;

use super::{ResourceName, Resources};
use crate::id::VolumeId;
use crate::role::Role;

/// The most reservations on top of each other: deeper than any tree of roles that people keep.
pub const MAX_RESERVATIONS: usize = 8;
/// The most kinds in what one agent has. Totals over kinds are summed anew at each change. A sum over
/// agents may have more.
pub const MAX_KINDS: usize = 64;
/// The longest container path of a volume, in bytes (`PATH_MAX`).
pub const MAX_CONTAINER_PATH_BYTES: usize = 4096;
/// How much of a bad path an error quotes, in characters: enough to recognise it.
const QUOTED_CHARS: usize = 64;

/// One reservation: the resources go to a role, and to the roles below it, only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reservation {
    /// Never `*`.
    pub role: Role,
    /// Stated by the agent's configuration; no operation can take it away.
    pub is_static: bool,
    /// For people and frameworks; different labels make a different reservation.
    pub labels: BTreeMap<String, String>,
}

impl Reservation {
    /// A reservation that an operation can make and take away, without labels.
    #[must_use]
    pub fn dynamic(role: Role) -> Self {
        Self {
            role,
            is_static: false,
            labels: BTreeMap::new(),
        }
    }

    /// A reservation stated by the agent's configuration.
    #[must_use]
    pub fn fixed(role: Role) -> Self {
        Self {
            is_static: true,
            ..Self::dynamic(role)
        }
    }
}

/// Disk with data on it that outlives tasks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volume {
    pub id: VolumeId,
    /// Where tasks find it: absolute, without `.` or `..`, at most [`MAX_CONTAINER_PATH_BYTES`].
    pub container_path: String,
    /// Several tasks may use it at once.
    pub shared: bool,
}

impl Volume {
    /// Checks the container path.
    pub fn check(&self) -> Result<(), KindError> {
        let path = &self.container_path;
        let refuse = |why| {
            let path: String = path.chars().take(QUOTED_CHARS).collect();
            Err(KindError::ContainerPath {
                volume: self.id.clone(),
                path: path.escape_debug().to_string(),
                why,
            })
        };
        if !path.starts_with('/') {
            return refuse("is not absolute");
        }
        if path.len() > MAX_CONTAINER_PATH_BYTES {
            return refuse("is longer than 4096 bytes");
        }
        if path.chars().any(char::is_control) {
            return refuse("holds a control character");
        }
        if path.split('/').any(|part| matches!(part, "." | "..")) {
            return refuse("has a part that is `.` or `..`");
        }
        Ok(())
    }
}

/// What sets resources apart; the default is plain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Kind {
    /// Bottom first; the last one decides who may have the resources. Empty means unreserved.
    pub reservations: Vec<Reservation>,
    /// The persistent volume the disk is.
    pub volume: Option<Volume>,
    /// May be taken back while a task uses it.
    pub revocable: bool,
}

/// A kind that cannot be, or cannot hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KindError {
    #[error("nothing can be reserved to role `*`")]
    DefaultRole,
    #[error("role `{role}` is not below `{below}`, whose reservation it would refine")]
    NotBelow { role: Role, below: Role },
    #[error("the reservation to `{0}` is static, but only the lowest of a stack can be")]
    StaticAbove(Role),
    #[error("{0} reservations on top of each other, at most {MAX_RESERVATIONS} are allowed")]
    TooDeep(usize),
    #[error("volume `{0}` is on disk that is not reserved")]
    UnreservedVolume(VolumeId),
    #[error("revocable resources cannot be reserved")]
    ReservedRevocable,
    #[error("container path `{path}` of volume `{volume}` {why}")]
    ContainerPath {
        volume: VolumeId,
        path: String,
        why: &'static str,
    },
    #[error("volume `{0}` must be disk and nothing else")]
    NotDisk(VolumeId),
    #[error("volume `{0}` is there twice")]
    VolumeTwice(VolumeId),
    #[error("some of {0} is there twice")]
    Twice(ResourceName),
    #[error("more than {MAX_KINDS} kinds of resources in one bundle")]
    TooMany,
}

/// Whether `role` is `above` or below it in the tree.
pub(super) fn is_within(role: &Role, above: &Role) -> bool {
    let rest = role.as_str().strip_prefix(above.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Kind {
    /// Resources under a stack of reservations, bottom first.
    #[must_use]
    pub fn reserved(reservations: impl IntoIterator<Item = Reservation>) -> Self {
        Self {
            reservations: reservations.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Resources that may be taken back.
    #[must_use]
    pub fn revocable() -> Self {
        Self {
            revocable: true,
            ..Self::default()
        }
    }

    /// This kind of disk as a volume.
    #[must_use]
    pub fn with_volume(mut self, volume: Volume) -> Self {
        self.volume = Some(volume);
        self
    }

    /// Whether nothing sets the resources apart.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.reservations.is_empty() && self.volume.is_none() && !self.revocable
    }

    /// Whether any reservation holds the resources.
    #[must_use]
    pub fn is_reserved(&self) -> bool {
        !self.reservations.is_empty()
    }

    /// The role the resources are held for: that of the highest reservation.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.reservations.last().map(|top| &top.role)
    }

    /// Whether tasks of `role` may have the resources: nobody holds them, or that role or one above it.
    #[must_use]
    pub fn is_allocatable_to(&self, role: &Role) -> bool {
        self.role().is_none_or(|holder| is_within(role, holder))
    }

    /// The shared volume this is, if it is one.
    #[must_use]
    pub fn shared_volume(&self) -> Option<&Volume> {
        self.volume.as_ref().filter(|volume| volume.shared)
    }

    /// Checks the rules of the module. The error names the first that is broken.
    pub fn check(&self) -> Result<(), KindError> {
        check_stack(&self.reservations)?;
        if let Some(volume) = &self.volume {
            if !self.is_reserved() {
                return Err(KindError::UnreservedVolume(volume.id.clone()));
            }
            volume.check()?;
        }
        match self.revocable && self.is_reserved() {
            true => Err(KindError::ReservedRevocable),
            false => Ok(()),
        }
    }

    /// Checks the kind, and that a volume is disk only.
    pub(super) fn check_holds(&self, bundle: &Resources) -> Result<(), KindError> {
        self.check()?;
        match &self.volume {
            Some(volume) if *bundle != Resources::of(0, 0, bundle.disk_bytes()) => {
                Err(KindError::NotDisk(volume.id.clone()))
            }
            _ => Ok(()),
        }
    }
}

fn check_stack(stack: &[Reservation]) -> Result<(), KindError> {
    if stack.len() > MAX_RESERVATIONS {
        return Err(KindError::TooDeep(stack.len()));
    }
    if stack.iter().any(|one| one.role == Role::default()) {
        return Err(KindError::DefaultRole);
    }
    for pair in stack.windows(2) {
        let (below, above) = (&pair[0].role, &pair[1].role);
        if above == below || !is_within(above, below) {
            return Err(KindError::NotBelow {
                role: above.clone(),
                below: below.clone(),
            });
        }
    }
    match stack.iter().skip(1).find(|one| one.is_static) {
        Some(above) => Err(KindError::StaticAbove(above.role.clone())),
        None => Ok(()),
    }
}
