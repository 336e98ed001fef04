//! The file of `proffer autoscaler`: the shapes of agents, and how long everything takes.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_autoscaler::core::{AgentShape, Config};
use proffer_types::{Attribute, FaultDomain, Ranges, ResourceName, Resources};
use serde::Deserialize;

use super::quantity::{SomeSpan, Span, Whole};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// What an agent offers that names no ports.
const DEFAULT_PORTS: (u64, u64) = (31000, 32000);

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AutoscalerFile {
    shapes: Vec<ShapeFile>,
    scale_up_delay: Option<Span>,
    idle: Option<Span>,
    cooldown: Option<Span>,
    registration: Option<SomeSpan>,
    backoff: Option<SomeSpan>,
    unreachable: Option<Span>,
    at_once: Option<Whole<u32>>,
    provider_timeout: Option<SomeSpan>,
    poll: Option<SomeSpan>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShapeFile {
    name: String,
    resources: Offered,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    domain: Option<Domain>,
    #[serde(default)]
    min: Whole<u32>,
    max: Whole<u32>,
}

/// As `--resources` of an agent.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Offered(Resources);

impl TryFrom<String> for Offered {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let resources: Resources = text.parse().map_err(|error| format!("{error}"))?;
        Ok(Self(match resources.ranges(&ResourceName::Ports) {
            Some(_) => resources,
            None => resources.with_ranges(ResourceName::Ports, Ranges::new([DEFAULT_PORTS])),
        }))
    }
}

/// `region/zone`.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Domain(FaultDomain);

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        crate::daemon::domain(&text).map(Self)
    }
}

impl AutoscalerFile {
    /// What the autoscaler goes by; still to be checked.
    pub(crate) fn config(&self) -> Config {
        let or = |given: Option<Span>, default| given.map_or(default, |span: Span| span.0);
        let some_or = |given: Option<SomeSpan>, default| given.map_or(default, |span: SomeSpan| span.0.0);
        Config {
            shapes: self.shapes.iter().map(ShapeFile::shape).collect(),
            scale_up_delay: or(self.scale_up_delay, 10 * SECOND),
            idle: or(self.idle, 10 * MINUTE),
            cooldown: or(self.cooldown, 10 * MINUTE),
            registration: some_or(self.registration, 10 * MINUTE),
            backoff: some_or(self.backoff, MINUTE),
            unreachable: or(self.unreachable, 20 * MINUTE),
            at_once: self.at_once.map_or(10, |n| n.0),
        }
    }

    /// How long one run of the provider may take.
    pub(crate) fn provider_timeout(&self) -> Duration {
        self.provider_timeout.map_or(5 * MINUTE, |span| span.0.0)
    }

    /// How often the cluster is looked at.
    pub(crate) fn poll(&self) -> Duration {
        self.poll.map_or(5 * SECOND, |span| span.0.0)
    }
}

impl ShapeFile {
    fn shape(&self) -> AgentShape {
        let attribute = |(name, value): (&String, &String)| Attribute {
            name: name.clone(),
            value: value.clone(),
        };
        AgentShape {
            name: self.name.clone(),
            resources: self.resources.0.clone(),
            attributes: self.attributes.iter().map(attribute).collect(),
            domain: self.domain.clone().map(|domain| domain.0),
            min: self.min.0,
            max: self.max.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        let file: AutoscalerFile = parse("shapes.yaml", text).map_err(|error| error.to_string())?;
        let config = file.config();
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_file_says_what_can_be_added_and_the_rest_has_defaults() {
        let config = read(
            "idle: 90s\nshapes:\n  - name: small\n    resources: cpus:2;mem:4GiB\n    max: 5\n  - name: ssd\n    resources: cpus:8;mem:32GiB;ports:[1-2]\n    attributes: {disk: ssd}\n    domain: eu/a\n    min: 1\n    max: 2\n",
        )
        .unwrap();
        assert_eq!((config.idle, config.cooldown), (90 * SECOND, 10 * MINUTE));
        let [small, ssd] = &config.shapes[..] else {
            panic!("{config:?}")
        };
        assert_eq!(small.resources.to_string(), "cpus:2;mem:4GiB;ports:[31000-32000]");
        assert_eq!((small.min, small.max, ssd.min, ssd.max), (0, 5, 1, 2));
        assert_eq!(ssd.domain.as_ref().map(|domain| &domain.zone[..]), Some("a"));
        assert_eq!(ssd.attributes[0].value, "ssd");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, said) in [
            ("shapes: []\n", "no shapes"),
            (
                "shapes:\n  - name: a\n    resources: cpus:x\n    max: 1\n",
                "shapes.yaml:3:16: shapes[0].resources",
            ),
            ("shapes:\n  - name: a\n    resources: cpus:1\n", "max"),
            (
                "shapes:\n  - {name: a, resources: 'cpus:1', max: 1, sise: 2}\n",
                "sise",
            ),
            (
                "shapes:\n  - {name: a, resources: 'cpus:1', max: 1, attributes: {shape: x}}\n",
                "`shape`",
            ),
            (
                "shapes:\n  - {name: a, resources: 'cpus:1', max: 1, attributes: {x: 'a;b:c'}}\n",
                "`x`",
            ),
            (
                "shapes:\n  - {name: a, resources: 'cpus:1', max: 1, domain: eu}\n",
                "domain",
            ),
            (
                "poll: 0s\nshapes:\n  - {name: a, resources: 'cpus:1', max: 1}\n",
                "poll",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
