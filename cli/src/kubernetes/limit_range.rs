//! `LimitRange`: the defaults and bounds of the containers that are applied with it. It is not kept.

use super::fields::{Fields, Item};
use super::quantity::{Millis, Units};
use super::tree::{Place, Wrong};

/// One LimitRange; the containers of its namespace get what it says.
#[derive(Debug, Clone)]
pub(super) struct LimitRange {
    /// As it is called in errors.
    name: String,
    limits: Vec<Bounds>,
}

/// One of its `limits`, with the defaults that Kubernetes adds.
#[derive(Debug, Clone, Default)]
struct Bounds {
    default: Amounts,
    default_request: Amounts,
    min: Amounts,
    max: Amounts,
    ratio: Amounts,
}

/// Amounts of what a container may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Amounts {
    pub(super) cpu: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) storage: Option<u64>,
}

impl Amounts {
    /// These, and where they say nothing, others.
    fn or(self, others: Self) -> Self {
        Self {
            cpu: self.cpu.or(others.cpu),
            memory: self.memory.or(others.memory),
            storage: self.storage.or(others.storage),
        }
    }

    fn each(self) -> [(&'static str, Option<u64>); 3] {
        [
            ("cpu", self.cpu),
            ("memory", self.memory),
            ("ephemeral-storage", self.storage),
        ]
    }
}

/// What a container asks for, and where it says so.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) place: Place,
    pub(super) requests: Amounts,
    pub(super) limits: Amounts,
}

/// Reads `requests`, `limits` and the like: thousandths of cores, and bytes.
pub(super) fn amounts(item: &Item<'_>) -> Result<Amounts, Wrong> {
    let mut fields = item.fields()?;
    let cpu = fields.map("cpu", |item| item.parsed::<Millis>())?;
    let memory = fields.map("memory", |item| item.parsed::<Units>())?;
    let storage = fields.map("ephemeral-storage", |item| item.parsed::<Units>())?;
    fields.done()?;
    Ok(Amounts {
        cpu: cpu.map(|millis| millis.0),
        memory: memory.map(|units| units.0),
        storage: storage.map(|units| units.0),
    })
}

/// Reads a ratio of limit to request, in thousandths.
fn ratios(item: &Item<'_>) -> Result<Amounts, Wrong> {
    let mut fields = item.fields()?;
    let mut ratio = |name| -> Result<Option<u64>, Wrong> {
        let read = fields.map(name, |item| item.parsed::<Millis>())?;
        Ok(read.map(|millis| millis.0))
    };
    let ratios = Amounts {
        cpu: ratio("cpu")?,
        memory: ratio("memory")?,
        storage: ratio("ephemeral-storage")?,
    };
    fields.done()?;
    Ok(ratios)
}

impl LimitRange {
    /// Reads the `spec` of an object.
    pub(super) fn read(object: &mut Fields<'_>, name: String) -> Result<Self, Wrong> {
        let mut spec = object.need("spec")?.fields()?;
        let mut limits = Vec::new();
        for item in spec.need("limits")?.list()? {
            limits.push(bounds(&item)?);
        }
        spec.done()?;
        Ok(Self { name, limits })
    }

    /// Gives a container what it does not say, as Kubernetes' LimitRanger does.
    pub(super) fn fill(&self, asked: &mut Asked) {
        for bounds in &self.limits {
            asked.limits = asked.limits.or(bounds.default);
            asked.requests = asked.requests.or(bounds.default_request);
        }
    }

    /// Checks what a container asks for once all is filled in.
    pub(super) fn check(&self, asked: &Asked) -> Result<(), Wrong> {
        self.limits.iter().try_for_each(|bounds| {
            bounds.check(asked).map_err(|problem| Wrong {
                place: asked.place,
                problem: format!("limitrange `{}`: {problem}", self.name),
            })
        })
    }
}

fn bounds(item: &Item<'_>) -> Result<Bounds, Wrong> {
    let mut fields = item.fields()?;
    let kind = fields.need("type")?;
    let is_container = match kind.text()?.as_str() {
        "Container" => true,
        // A pod has one container, so its bounds are the container's.
        "Pod" => false,
        _ => return Err(kind.wrong("only Container and Pod are taken")),
    };
    let read = |item: Item<'_>| amounts(&item);
    let max = fields.map("max", read)?.unwrap_or_default();
    let min = fields.map("min", read)?.unwrap_or_default();
    let ratio = fields.map("maxLimitRequestRatio", |item| ratios(&item))?;
    let ratio = ratio.unwrap_or_default();
    let mut bounds = Bounds {
        min,
        max,
        ratio,
        ..Bounds::default()
    };
    if is_container {
        let default = fields.map("default", read)?.unwrap_or_default();
        let default_request = fields.map("defaultRequest", read)?.unwrap_or_default();
        bounds.default = default.or(max);
        bounds.default_request = default_request.or(bounds.default).or(min);
        let pairs = bounds
            .default_request
            .each()
            .into_iter()
            .zip(bounds.default.each());
        for ((name, request), (_, limit)) in pairs {
            if let (Some(request), Some(limit)) = (request, limit)
                && request > limit
            {
                return Err(item.wrong(&format!(
                    "the default request of {name} is more than its default limit"
                )));
            }
        }
    } else {
        let why = "only the type Container has defaults";
        fields.refuse("default", why)?;
        fields.refuse("defaultRequest", why)?;
    }
    fields.done()?;
    Ok(bounds)
}

impl Bounds {
    fn check(&self, asked: &Asked) -> Result<(), String> {
        let (requests, limits) = (asked.requests.each(), asked.limits.each());
        let (min, max, ratio) = (self.min.each(), self.max.each(), self.ratio.each());
        for nth in 0..requests.len() {
            let ((name, request), (_, limit)) = (requests[nth], limits[nth]);
            if let (_, Some(min)) = min[nth]
                && request.is_none_or(|request| request < min)
            {
                return Err(format!("the request of {name} is less than its minimum"));
            }
            if let (_, Some(max)) = max[nth]
                && (limit.is_none_or(|limit| limit > max) || request.is_some_and(|request| request > max))
            {
                return Err(format!("the limit of {name} is more than its maximum"));
            }
            if let (_, Some(ratio)) = ratio[nth] {
                let within = |(limit, request): (u64, u64)| {
                    u128::from(limit) * 1000 <= u128::from(request) * u128::from(ratio)
                };
                if !limit.zip(request).is_some_and(within) {
                    return Err(format!(
                        "the limit of {name} is more times its request than maxLimitRequestRatio allows"
                    ));
                }
            }
        }
        Ok(())
    }
}
