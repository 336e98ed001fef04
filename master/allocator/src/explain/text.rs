//! Reasons as sentences for people.

use std::fmt;
use std::time::Duration;

use proffer_types::resources::format::format_scalar;
use proffer_types::{FrameworkId, ResourceName};

use super::{Ahead, Counted, Nearest, Part, Reason};
use crate::Share;

impl fmt::Display for Part {
    /// What is waited for: a shape, or anything in a role.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Some((shape, n)) => {
                let (resources, role, s) = (&shape.resources, &self.role, if *n == 1 { "" } else { "s" });
                write!(f, "{n} task{s} of {resources}")?;
                match shape.n_ports {
                    0 => {}
                    1 => f.write_str(" and a port")?,
                    n => write!(f, " and {n} ports")?,
                }
                write!(f, " in role {role}")
            }
            None => write!(f, "offers in role {}", self.role),
        }
    }
}

impl Counted {
    /// The reason as a sentence, with frameworks called by the names that are known of them.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others name no framework")]
    pub fn sentence<'n>(&self, name_of: impl Fn(&FrameworkId) -> Option<&'n str>) -> String {
        let sentence = self.reason.sentence(self.n_agents, self.nearest.as_ref());
        match &self.reason {
            Reason::Held(_, ahead) => {
                let name = name_of(&ahead.framework).unwrap_or(ahead.framework.as_str());
                format!("{sentence}{}", ahead.clause(name))
            }
            Reason::HeldFor(framework, _) => {
                format!("{sentence} {}", name_of(framework).unwrap_or(framework.as_str()))
            }
            _ => sentence,
        }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(|_| None))
    }
}

impl Reason {
    fn sentence(&self, n: u64, nearest: Option<&Nearest>) -> String {
        let s = if n == 1 { "" } else { "s" };
        let is = if n == 1 { "is" } else { "are" };
        let agents = format!("{n} agent{s}");
        match self {
            Self::NotConnected => "the framework is not connected".to_owned(),
            Self::Suppressed => {
                "the framework suppressed offers in the role, and has not revived them".to_owned()
            }
            Self::NothingWanted => "the framework wants nothing more in the role".to_owned(),
            Self::AllOffered => "all it wants is offered to it now, and it has yet to answer".to_owned(),
            Self::NoAgents => "there are no agents".to_owned(),
            Self::Room => format!("{agents} {} room: an offer is due", have(n)),
            Self::PartOfGang => format!(
                "{agents} {} room for a part of its gang, which is offered whole or not at all",
                have(n)
            ),
            Self::HeldForIt(left) => format!(
                "{agents} {is} held for it, for {} at most: what ends there goes to it",
                span(*left)
            ),
            Self::Inactive => format!("{agents} {is} away"),
            Self::OutOfUse => format!("{agents} {is} deactivated or draining"),
            Self::OtherRegion => format!("{agents} {is} in another region, which the framework does not use"),
            Self::Constraint(constraint) => {
                format!(
                    "{agents} {} the constraint `{constraint}`",
                    if n == 1 { "fails" } else { "fail" }
                )
            }
            Self::ReservedFor(role) => format!("{agents} {is} reserved for role {role}"),
            Self::HeldFor(_, left) => format!(
                "{agents} {is} held, for {} at most, until there is room for what is to go first, of",
                span(*left)
            ),
            Self::Limit {
                role,
                resource,
                room,
                needed,
            } => format!(
                "the limit of role {role} on {resource} {}{}",
                leaves("leaves", resource, *room, *needed),
                wherever(n)
            ),
            Self::Guarantees {
                resource,
                room,
                needed,
            } => format!(
                "the guarantees of other roles on {resource} {}{}",
                leaves("leave", resource, *room, *needed),
                wherever(n)
            ),
            Self::Filtered(left) => format!(
                "{agents} {is} filtered, as the framework declined {}: {} in {}",
                if n == 1 { "it" } else { "them" },
                if n == 1 {
                    "the filter ends"
                } else {
                    "the first filter ends"
                },
                span(*left)
            ),
            Self::MaxPerAgent(max) => format!(
                "{agents} {} {max} of its tasks, the most it wants on one",
                have(n)
            ),
            Self::TooSmall(Some(name)) => {
                format!("{agents} {is} too small in {name}, even idle{}", near(n, nearest))
            }
            Self::TooSmall(None) => format!("{agents} {} nothing that is worth an offer, even idle", have(n)),
            Self::OwnUse(Some(name)) => {
                format!(
                    "{agents} {} {name} beside its own tasks{}",
                    lack(n),
                    near(n, nearest)
                )
            }
            Self::OwnUse(None) => format!("{agents} {is} in use by its own tasks and offers"),
            Self::Held(Some(name), _) => format!("{agents} {} {name}{}", lack(n), near(n, nearest)),
            Self::Held(None, _) => format!("{agents} {is} in use"),
        }
    }
}

impl Ahead {
    /// Who has it, with which share.
    fn clause(&self, name: &str) -> String {
        let (role, share, own) = (&self.role, percent(self.share), percent(self.own));
        let others = match self.n_others {
            0 => String::new(),
            1 => ", as has another".to_owned(),
            n => format!(", as have {n} others"),
        };
        format!("; {name} in role {role}, with a share of {share} against {own}, has it{others}")
    }
}

fn have(n: u64) -> &'static str {
    if n == 1 { "has" } else { "have" }
}

fn lack(n: u64) -> &'static str {
    if n == 1 { "lacks" } else { "lack" }
}

/// The nearest miss. One agent alone is the nearest.
fn near(n: u64, nearest: Option<&Nearest>) -> String {
    let Some(nearest) = nearest else {
        return String::new();
    };
    let hostname = if nearest.hostname.is_empty() {
        nearest.agent.as_str()
    } else {
        &nearest.hostname
    };
    let lacking = amount(&nearest.resource, nearest.lacking);
    match n {
        1 => format!(": {hostname}, by {lacking}"),
        _ => format!(": nearest is {hostname}, by {lacking}"),
    }
}

fn leaves(leaves: &str, name: &ResourceName, room: u64, needed: u64) -> String {
    let room = match room {
        0 => "none".to_owned(),
        room => amount(name, room),
    };
    match needed {
        0 => format!("{leaves} {room}"),
        needed => format!("{leaves} {room} of the {} needed", amount(name, needed)),
    }
}

fn wherever(n: u64) -> String {
    match n {
        0 => " by the whole gang".to_owned(),
        1 => ", on 1 agent".to_owned(),
        n => format!(", on {n} agents"),
    }
}

fn amount(name: &ResourceName, units: u64) -> String {
    match name {
        ResourceName::Ports => units.to_string(),
        ResourceName::Cpus
        | ResourceName::Mem
        | ResourceName::Disk
        | ResourceName::NetMbps
        | ResourceName::Custom(_) => format_scalar(name, units),
    }
}

fn percent(share: Share) -> String {
    let permille = share.permille();
    format!("{}.{}%", permille / 10, permille % 10)
}

fn span(left: Duration) -> String {
    match left.as_secs() {
        seconds @ 0..120 => format!("{seconds}.{}s", left.subsec_millis() / 100),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}
