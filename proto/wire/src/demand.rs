//! Demand: the shapes a framework states for a role.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::demand::{MAX_GANG_TASKS, MAX_SHAPES_PER_ROLE};
use proffer_types::{Backfill, Demand, GangId, Placement, PlacementRules, Shape, ShapeId};

pub use crate::constraint::Budget;

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, millis, parse_optional};
use crate::{resources, v1};

/// Converts what a framework states for one role. Fails when shapes have the same id.
pub fn demand(message: v1::DemandStatement) -> Result<Demand, ConvertError> {
    Ok(Demand {
        backfill: backfill(message.backfill)?,
        shapes: shapes(message.shapes)?,
    })
}

fn shapes(shapes: Vec<v1::Shape>) -> Result<Vec<Shape>, ConvertError> {
    at_most("shapes", shapes.len(), MAX_SHAPES_PER_ROLE, "shapes")?;
    let mut budget = Budget::default();
    let (mut ids, mut gangs) = (BTreeSet::new(), BTreeMap::new());
    let mut item = |message| -> Result<Shape, ConvertError> {
        let shape = shape(message, &mut budget)?;
        if !ids.insert(shape.id) {
            let problem = format!("{} is the id of another shape too", shape.id.0);
            return Err(ConvertError::new("shape_id", problem));
        }
        check_gang(&shape, &mut gangs)?;
        Ok(shape)
    };
    let shapes = shapes.into_iter().enumerate();
    shapes
        .map(|(index, message)| item(message).at_item("shapes", index))
        .collect()
}

/// Refuses the shape that makes its gang too large.
fn check_gang(shape: &Shape, gangs: &mut BTreeMap<GangId, u32>) -> Result<(), ConvertError> {
    let Some(gang) = shape.gang else {
        return Ok(());
    };
    let n_tasks = gangs.entry(gang).or_default();
    *n_tasks = n_tasks.saturating_add(shape.count);
    if *n_tasks > MAX_GANG_TASKS {
        let problem = format!(
            "{n_tasks} tasks in gang {}, at most {MAX_GANG_TASKS} are allowed",
            gang.0
        );
        return Err(ConvertError::new("count", problem));
    }
    Ok(())
}

fn shape(message: v1::Shape, budget: &mut Budget) -> Result<Shape, ConvertError> {
    let resources = resources::or_nothing("resources", message.resources)?;
    resources::check_scalars("resources", &resources)?;
    let shape = Shape {
        id: ShapeId(message.shape_id),
        resources,
        n_ports: message.n_ports,
        count: message.count,
        constraints: budget.constraints(message.constraints).at("constraints")?,
        max_per_agent: message.max_per_agent,
        placement: placement(message.placement)?,
        gang: message.gang_id.map(GangId),
        time_limit: match message.time_limit_ms {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        },
        flow: message.flow,
        agent: parse_optional("agent_id", &message.agent_id)?,
        resumes: message.resumes,
        daemon: message.daemon,
    };
    match shape.check() {
        Ok(()) => Ok(shape),
        Err(error) => Err(ConvertError::new(error.field(), error)),
    }
}

fn check_max_per_agent(max: Option<u32>) -> Result<(), ConvertError> {
    match max {
        Some(0) => Err(ConvertError::new(
            "max_per_agent",
            "is 0: no agent could run a task",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Converts where a task may run; absent means anywhere. The tasks of one message share a budget.
pub fn placement_rules(
    message: Option<v1::PlacementRules>,
    budget: &mut Budget,
) -> Result<PlacementRules, ConvertError> {
    let message = message.unwrap_or_default();
    check_max_per_agent(message.max_per_agent)?;
    Ok(PlacementRules {
        constraints: budget.constraints(message.constraints).at("constraints")?,
        max_per_agent: message.max_per_agent,
        placement: match v1::Placement::try_from(message.placement) {
            Ok(v1::Placement::Unspecified) => None,
            Ok(_) | Err(_) => Some(placement(message.placement)?),
        },
    })
}

impl From<&PlacementRules> for v1::PlacementRules {
    fn from(rules: &PlacementRules) -> Self {
        Self {
            constraints: (!rules.constraints.is_empty()).then(|| (&rules.constraints).into()),
            max_per_agent: rules.max_per_agent,
            placement: rules
                .placement
                .map_or(v1::Placement::Unspecified, Into::into)
                .into(),
        }
    }
}

fn placement(number: i32) -> Result<Placement, ConvertError> {
    match v1::Placement::try_from(number) {
        Ok(v1::Placement::Unspecified | v1::Placement::Pack) => Ok(Placement::Pack),
        Ok(v1::Placement::Spread) => Ok(Placement::Spread),
        Err(_) => Err(ConvertError::unknown_number("placement", number)),
    }
}

impl From<Placement> for v1::Placement {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::Pack => Self::Pack,
            Placement::Spread => Self::Spread,
        }
    }
}

fn backfill(number: i32) -> Result<Backfill, ConvertError> {
    match v1::Backfill::try_from(number) {
        Ok(v1::Backfill::Unspecified | v1::Backfill::Any) => Ok(Backfill::Any),
        Ok(v1::Backfill::Easy) => Ok(Backfill::Easy),
        Ok(v1::Backfill::None) => Ok(Backfill::None),
        Err(_) => Err(ConvertError::unknown_number("backfill", number)),
    }
}

impl From<Backfill> for v1::Backfill {
    fn from(backfill: Backfill) -> Self {
        match backfill {
            Backfill::Any => Self::Any,
            Backfill::Easy => Self::Easy,
            Backfill::None => Self::None,
        }
    }
}

impl From<&Demand> for v1::DemandStatement {
    fn from(demand: &Demand) -> Self {
        Self {
            shapes: demand.shapes.iter().map(Into::into).collect(),
            backfill: v1::Backfill::from(demand.backfill).into(),
        }
    }
}

impl From<&Shape> for v1::Shape {
    fn from(shape: &Shape) -> Self {
        Self {
            shape_id: shape.id.0,
            resources: Some((&shape.resources).into()),
            n_ports: shape.n_ports,
            count: shape.count,
            constraints: (!shape.constraints.is_empty()).then(|| (&shape.constraints).into()),
            max_per_agent: shape.max_per_agent,
            placement: v1::Placement::from(shape.placement).into(),
            gang_id: shape.gang.map(|gang| gang.0),
            // 0 means no limit, so the shortest limit there can be is 1 ms.
            time_limit_ms: shape.time_limit.map_or(0, |time| millis(time).max(1)),
            flow: shape.flow,
            agent_id: shape.agent.as_ref().map(ToString::to_string).unwrap_or_default(),
            resumes: shape.resumes,
            daemon: shape.daemon,
        }
    }
}

crate::from_owned!(Shape => v1::Shape);
