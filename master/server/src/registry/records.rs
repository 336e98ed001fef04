//! One message of the store for one record of the core, both ways.

use std::time::Duration;

use proffer_master_core::{
    AgentRecord, Drain, DrainPhase, FrameworkRecord, RoleConfig, RoleRecord, Upkeep, Window,
};
use proffer_types::Timestamp;
use proffer_wire::{ConvertError, v1};

use crate::operator::millis;

/// A message that holds a record.
pub(super) trait Record<T> {
    fn into_record(self) -> Result<T, ConvertError>;
}

impl Record<AgentRecord> for v1::RegistryAgent {
    fn into_record(self) -> Result<AgentRecord, ConvertError> {
        let info = self.info.ok_or_else(|| ConvertError::new("info", "is missing"))?;
        Ok(AgentRecord {
            agent_id: self
                .agent_id
                .parse()
                .map_err(|error| ConvertError::new("agent_id", error))?,
            info: info
                .try_into()
                .map_err(|error: ConvertError| error.under("info"))?,
            unreachable_since: self.unreachable_since_ms.map(Timestamp),
            gone_since: self.gone_since_ms.map(Timestamp),
            upkeep: Upkeep {
                deactivated: self.deactivated_since_ms.map(Timestamp),
                drain: self.drain.map(drain).transpose()?,
                windows: self.windows.into_iter().map(window).collect::<Result<_, _>>()?,
            },
        })
    }
}

fn drain(message: v1::RegistryDrain) -> Result<Drain, ConvertError> {
    let phase = match v1::DrainPhase::try_from(message.phase) {
        Ok(v1::DrainPhase::DrainWaiting) => DrainPhase::Waiting,
        Ok(v1::DrainPhase::DrainDraining) => DrainPhase::Draining,
        Ok(v1::DrainPhase::DrainDrained) => DrainPhase::Drained,
        Ok(v1::DrainPhase::Unspecified) | Err(_) => {
            return Err(ConvertError::new("drain.phase", "is none that is known"));
        }
    };
    Ok(Drain {
        request: message.request,
        position: message.position,
        at_once: message.at_once,
        max_grace: message.max_grace_ms.map(Duration::from_millis),
        notice: Duration::from_millis(message.notice_ms),
        kills_at: message.kills_at_ms.map(Timestamp),
        mark_gone: message.mark_gone,
        phase,
        since: Timestamp(message.since_ms),
        by_window: message.by_window,
    })
}

fn window(message: v1::RegistryWindow) -> Result<Window, ConvertError> {
    let time = message.unavailability;
    let time = time.ok_or_else(|| ConvertError::new("windows.unavailability", "is missing"))?;
    Ok(Window {
        name: message.name,
        time: time
            .try_into()
            .map_err(|error: ConvertError| error.under("windows.unavailability"))?,
        max_grace: message.max_grace_ms.map(Duration::from_millis),
        begun: message.begun,
    })
}

fn window_message(window: &Window) -> v1::RegistryWindow {
    v1::RegistryWindow {
        name: window.name.clone(),
        unavailability: Some(window.time.into()),
        max_grace_ms: window.max_grace.map(millis),
        begun: window.begun,
    }
}

fn drain_message(drain: &Drain) -> v1::RegistryDrain {
    v1::RegistryDrain {
        request: drain.request,
        position: drain.position,
        at_once: drain.at_once,
        max_grace_ms: drain.max_grace.map(millis),
        mark_gone: drain.mark_gone,
        phase: crate::operator::drain_phase(drain.phase).into(),
        since_ms: drain.since.0,
        by_window: drain.by_window,
        notice_ms: millis(drain.notice),
        kills_at_ms: drain.kills_at.map(|at| at.0),
    }
}

impl Record<FrameworkRecord> for v1::RegistryFramework {
    fn into_record(self) -> Result<FrameworkRecord, ConvertError> {
        let info = self.info.ok_or_else(|| ConvertError::new("info", "is missing"))?;
        let info = proffer_types::FrameworkInfo::try_from(info).map_err(|error| error.under("info"))?;
        Ok(FrameworkRecord {
            framework_id: info
                .id
                .clone()
                .ok_or_else(|| ConvertError::new("info.framework_id", "is missing"))?,
            info,
            order: self.order,
            failover_deadline: self.failover_deadline_ms.map(Timestamp),
            completed: self.completed,
            orphaned_since: self.orphaned_since_ms.map(Timestamp),
        })
    }
}

impl Record<RoleRecord> for v1::RegistryRole {
    fn into_record(self) -> Result<RoleRecord, ConvertError> {
        Ok(RoleRecord {
            role: self
                .role
                .parse()
                .map_err(|error| ConvertError::new("role", error))?,
            config: RoleConfig {
                weight_millis: self.weight_millis,
                priority: self.priority,
                // Older records have none.
                quota: self
                    .quota
                    .unwrap_or_default()
                    .try_into()
                    .map_err(|error: ConvertError| error.under("quota"))?,
            },
        })
    }
}

pub(super) fn agent_message(record: &AgentRecord) -> v1::RegistryAgent {
    v1::RegistryAgent {
        agent_id: record.agent_id.to_string(),
        info: Some((&record.info).into()),
        unreachable_since_ms: record.unreachable_since.map(|at| at.0),
        gone_since_ms: record.gone_since.map(|at| at.0),
        deactivated_since_ms: record.upkeep.deactivated.map(|at| at.0),
        drain: record.upkeep.drain.as_ref().map(drain_message),
        windows: record.upkeep.windows.iter().map(window_message).collect(),
    }
}

pub(super) fn framework_message(record: &FrameworkRecord) -> v1::RegistryFramework {
    v1::RegistryFramework {
        info: Some((&record.info).into()),
        order: record.order,
        failover_deadline_ms: record.failover_deadline.map(|at| at.0),
        completed: record.completed,
        orphaned_since_ms: record.orphaned_since.map(|at| at.0),
    }
}

pub(super) fn role_message(record: &RoleRecord) -> v1::RegistryRole {
    v1::RegistryRole {
        role: record.role.to_string(),
        weight_millis: record.config.weight_millis,
        priority: record.config.priority,
        quota: Some((&record.config.quota).into()),
    }
}
