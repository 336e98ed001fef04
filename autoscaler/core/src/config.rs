//! What there may be of each kind of agent, and how long everything takes.

use std::collections::BTreeSet;
use std::time::Duration;

use proffer_types::{AgentInfo, Attribute, FaultDomain, Resources};
use thiserror::Error;

use crate::view::{MACHINE_ATTRIBUTE, SHAPE_ATTRIBUTE};

/// The most shapes.
pub const MAX_SHAPES: usize = 100;
/// The most agents of one shape.
pub const MAX_AGENTS: u32 = 10_000;
/// The longest name of a shape, in bytes: machines are named after it.
const MAX_NAME_BYTES: usize = 40;

/// One kind of agent that can be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentShape {
    pub name: String,
    /// What such an agent offers: scalars and ports.
    pub resources: Resources,
    /// Beyond those that say which shape and machine it is.
    pub attributes: Vec<Attribute>,
    pub domain: Option<FaultDomain>,
    /// No agent is removed, and agents are added, where there are fewer.
    pub min: u32,
    pub max: u32,
}

/// How agents are added and removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The first that would hold what waits is added.
    pub shapes: Vec<AgentShape>,
    /// How long something has to wait before an agent is added for it.
    pub scale_up_delay: Duration,
    /// How long an agent has to run nothing before it is removed.
    pub idle: Duration,
    /// How long after an agent was added none is removed.
    pub cooldown: Duration,
    /// How long an added agent may take until it registers.
    pub registration: Duration,
    /// The first pause after a failure; each further one in a row doubles it, up to thirty times as long.
    pub backoff: Duration,
    /// How long an agent has to be unreachable before it is removed.
    pub unreachable: Duration,
    /// The most agents that are being added at a time, and that are being removed.
    pub at_once: u32,
}

/// What makes a configuration wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    #[error("there are no shapes")]
    NoShapes,
    #[error("{0} shapes, at most {MAX_SHAPES} are allowed")]
    ManyShapes(usize),
    #[error("`{0}` is no name of a shape: 1 to 40 small letters, digits and `-`")]
    Name(String),
    #[error("two shapes are named `{0}`")]
    SameName(String),
    #[error("shape `{0}` offers nothing, or something else than amounts and ports")]
    Resources(String),
    #[error("shape `{0}`: min is {1} and max is {2}; they go up to {MAX_AGENTS}, and min is not above max")]
    Bounds(String, u32, u32),
    #[error("shape `{0}`: the attribute `{1}` is given by the autoscaler")]
    Attribute(String, String),
    #[error(
        "shape `{0}`: the attribute `{1}` needs a name without `:` and a value, both without `;` and line breaks"
    )]
    AttributeText(String, String),
    #[error("at_once is 0: nothing could be done")]
    AtOnce,
}

impl AgentShape {
    /// An agent of this shape before there is one.
    pub(crate) fn info(&self) -> AgentInfo {
        let mut attributes = self.attributes.clone();
        attributes.push(Attribute {
            name: SHAPE_ATTRIBUTE.to_owned(),
            value: self.name.clone(),
        });
        AgentInfo {
            hostname: String::new(),
            address: String::new(),
            resources: self.resources.clone(),
            attributes,
            version: String::new(),
            cgroups: String::new(),
            domain: self.domain.clone(),
            can_suspend: false,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let name = || self.name.clone();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(1..=MAX_NAME_BYTES).contains(&self.name.len()) || !self.name.chars().all(is_plain) {
            return Err(ConfigError::Name(name()));
        }
        let has_amounts = self.resources.scalars().next().is_some();
        if !has_amounts || self.resources.has_kinds() || self.resources.all_sets().next().is_some() {
            return Err(ConfigError::Resources(name()));
        }
        if self.min > self.max || self.max > MAX_AGENTS {
            return Err(ConfigError::Bounds(name(), self.min, self.max));
        }
        let own = [SHAPE_ATTRIBUTE, MACHINE_ATTRIBUTE];
        for Attribute { name: key, value } in &self.attributes {
            if own.contains(&&key[..]) {
                return Err(ConfigError::Attribute(name(), key.clone()));
            }
            // They go to the agent as one text.
            let is_plain = |text: &str| !text.is_empty() && !text.chars().any(|c| c == ';' || c.is_control());
            if !is_plain(key) || !is_plain(value) || key.contains(':') {
                return Err(ConfigError::AttributeText(name(), key.clone()));
            }
        }
        Ok(())
    }
}

impl Config {
    /// Checks what the rest takes for granted. The error names the first thing that is wrong.
    pub fn check(&self) -> Result<(), ConfigError> {
        match self.shapes.len() {
            0 => return Err(ConfigError::NoShapes),
            1..=MAX_SHAPES => {}
            n => return Err(ConfigError::ManyShapes(n)),
        }
        if self.at_once == 0 {
            return Err(ConfigError::AtOnce);
        }
        let mut names = BTreeSet::new();
        for shape in &self.shapes {
            shape.check()?;
            if !names.insert(&shape.name) {
                return Err(ConfigError::SameName(shape.name.clone()));
            }
        }
        Ok(())
    }
}
