//! What is left out of a run: who does not take part, and what does not go wrong.
//!
//! A scenario is a seed and a mask, and has a text: `1234`, or `1234/agents=0,2/jobs=0.1,1.4/faults=3,8/mishaps`.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Everything named is left out; what is drawn for it is drawn all the same, so that the rest stays what it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mask {
    pub(crate) agents: BTreeSet<usize>,
    pub(crate) frameworks: BTreeSet<usize>,
    /// Framework, and which of its jobs.
    pub(crate) jobs: BTreeSet<(usize, usize)>,
    /// Of the plan of faults.
    pub(crate) faults: BTreeSet<usize>,
    /// Nothing goes wrong but what is planned.
    pub(crate) mishaps: bool,
}

/// One run: a seed, less what is masked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Case {
    pub seed: u64,
    pub mask: Mask,
}

impl From<u64> for Case {
    fn from(seed: u64) -> Self {
        let mask = Mask::default();
        Self { seed, mask }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        let mask = &self.mask;
        let lists = [
            ("agents", &mask.agents),
            ("frameworks", &mask.frameworks),
            ("faults", &mask.faults),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                let list: Vec<_> = list.iter().map(usize::to_string).collect();
                write!(f, "/{name}={}", list.join(","))?;
            }
        }
        if !mask.jobs.is_empty() {
            let jobs: Vec<_> = mask.jobs.iter().map(|(of, n)| format!("{of}.{n}")).collect();
            write!(f, "/jobs={}", jobs.join(","))?;
        }
        if mask.mishaps {
            write!(f, "/mishaps")?;
        }
        Ok(())
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = |part: &str| format!("`{part}` of `{text}` is no part of a scenario");
        let mut parts = text.split('/');
        let seed = parts.next().unwrap_or_default();
        let mut case = Self::from(seed.parse::<u64>().map_err(|_| refuse(seed))?);
        let mask = &mut case.mask;
        for part in parts {
            let (name, list) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "agents" => mask.agents = numbers(list).ok_or_else(|| refuse(part))?,
                "frameworks" => mask.frameworks = numbers(list).ok_or_else(|| refuse(part))?,
                "faults" => mask.faults = numbers(list).ok_or_else(|| refuse(part))?,
                "jobs" => mask.jobs = pairs(list).ok_or_else(|| refuse(part))?,
                "mishaps" if list.is_empty() => mask.mishaps = true,
                _ => return Err(refuse(part)),
            }
        }
        Ok(case)
    }
}

fn numbers(list: &str) -> Option<BTreeSet<usize>> {
    list.split(',').map(|number| number.parse().ok()).collect()
}

fn pairs(list: &str) -> Option<BTreeSet<(usize, usize)>> {
    let pair = |pair: &str| {
        let (of, n) = pair.split_once('.')?;
        Some((of.parse().ok()?, n.parse().ok()?))
    };
    list.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_what_its_text_says() {
        for text in ["7", "7/agents=0,2/frameworks=1/faults=3,8/jobs=0.1,1.14/mishaps"] {
            assert_eq!(text.parse::<Case>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "x",
            "7/",
            "7/agents",
            "7/agents=x",
            "7/jobs=1",
            "7/mishaps=1",
            "7/other=1",
        ] {
            assert!(text.parse::<Case>().is_err(), "{text}");
        }
    }
}
