//! What people may do to deployments, and what an apply would do.

use std::collections::BTreeSet;

use proffer_session::Context;
use thiserror::Error;

use crate::configs::ConfigError;
use crate::deployment::Deployment;
use crate::service::Service;
use crate::services::{ApplyError, NoSuchServiceError, Services};
use crate::spec::{Mode, ServiceSpec};
use crate::version::Outcome;

/// What somebody wants of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Replace nothing for now.
    Pause,
    /// Go on, also with one that has failed; it has its whole deadline again.
    Resume,
    /// Canaries, or the new half of a blue-green deployment, are good: replace the rest.
    Promote,
    /// Deploy the same again as a new version, so that every replica is started anew.
    Restart,
    /// Go back to a version; to the last good one that is not the present one, where it is not said.
    Rollback(Option<u64>),
}

/// Why a deployment was not steered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SteerError {
    #[error(transparent)]
    NoSuchService(#[from] NoSuchServiceError),
    #[error("service `{0}` is being deleted")]
    Deleting(String),
    #[error("service `{0}` has no deployment under way")]
    NoDeployment(String),
    #[error("the deployment of service `{0}` is promoted already")]
    Promoted(String),
    #[error("only {fresh} of the {gate} new replicas of service `{name}` that are to be tried are available")]
    NotAvailable { name: String, fresh: u32, gate: u32 },
    #[error("service `{name}` has no version {number} in its history")]
    NoSuchVersion { name: String, number: u64 },
    #[error("service `{0}` has no earlier version that was good")]
    NoGood(String),
    #[error("service `{name}` is at version {number} already")]
    Same { name: String, number: u64 },
    #[error("version {number} of service `{name}` cannot run any more: {error}")]
    Config {
        name: String,
        number: u64,
        error: ConfigError,
    },
}

/// What an apply would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// As it is; absent when it would be created.
    pub before: Option<ServiceSpec>,
    /// As it would be.
    pub after: ServiceSpec,
    /// The version that would be deployed; absent when it would stay.
    pub deploys: Option<u64>,
    /// How many replicas would start that have no predecessor.
    pub starts: u32,
    /// How many would stop for good.
    pub stops: u32,
    /// How many would be replaced by those of the new version.
    pub replaces: u32,
}

impl Services {
    /// Steers the deployment of a service; gives back the version it is at then.
    pub fn steer(&mut self, name: &str, steer: Steer, cx: &mut Context<'_>) -> Result<u64, SteerError> {
        let shape = self.next_shape();
        self.check_rollback(name, steer)?;
        let pins = self.service(name)?.spec.task.container.clone();
        let pins = self.configs.pins(&pins);
        let service = self.service_mut(name)?;
        if service.deleting {
            return Err(SteerError::Deleting(name.to_owned()));
        }
        match steer {
            Steer::Pause => service.pause()?,
            Steer::Resume => service.resume(cx)?,
            Steer::Promote => service.promote(cx)?,
            Steer::Restart => service.change(service.spec.clone(), shape, pins, cx),
            Steer::Rollback(number) => service.roll_back(number, cx)?,
        }
        service.store(cx);
        service.advance(cx);
        let version = service.version;
        self.state_demand(cx);
        Ok(version)
    }

    /// Refuses to go back to what uses configs that were deleted.
    fn check_rollback(&self, name: &str, steer: Steer) -> Result<(), SteerError> {
        let Steer::Rollback(Some(number)) = steer else {
            return Ok(());
        };
        let Some(version) = self.service(name)?.versions.get(&number) else {
            return Ok(());
        };
        let checked = self.configs.check(&version.task.container, &BTreeSet::new());
        checked.map_err(|error| {
            let name = name.to_owned();
            SteerError::Config { name, number, error }
        })
    }

    /// What [`Services::apply`] would do once the configs of `assumed` are there, or why it would not.
    pub fn plan(&self, spec: &ServiceSpec, assumed: &BTreeSet<String>) -> Result<Plan, ApplyError> {
        spec.check()?;
        let spec = self.settled(spec.clone());
        let change = self.check_apply(&spec, assumed)?;
        let before = self.services.get(&spec.name);
        // How many daemons there will be is for the agents to say.
        let replicas_before = before.map_or(0, Service::n_wanted);
        let replicas = match spec.mode {
            Mode::Replicated => spec.replicas,
            Mode::Daemon => replicas_before,
        };
        let version = before.map_or(1, |service| service.latest() + 1);
        let is_new_version = change.is_some_and(|change| change.is_new_version);
        let kept = replicas_before.min(replicas);
        Ok(Plan {
            before: before.map(|service| service.spec.clone()),
            deploys: is_new_version.then_some(version),
            starts: replicas.saturating_sub(replicas_before),
            stops: replicas_before.saturating_sub(replicas),
            replaces: if is_new_version { kept } else { 0 },
            after: spec,
        })
    }
}

impl Service {
    /// The greatest number of its versions.
    pub(crate) fn latest(&self) -> u64 {
        self.versions
            .keys()
            .last()
            .copied()
            .unwrap_or(0)
            .max(self.version)
    }

    fn active(&mut self) -> Result<&mut Deployment, SteerError> {
        let name = &self.spec.name;
        let active = self
            .deployment
            .as_mut()
            .filter(|deployment| deployment.is_active());
        active.ok_or_else(|| SteerError::NoDeployment(name.clone()))
    }

    fn pause(&mut self) -> Result<(), SteerError> {
        self.active()?.paused = true;
        Ok(())
    }

    fn resume(&mut self, cx: &mut Context<'_>) -> Result<(), SteerError> {
        let now = cx.now();
        let number = self.version;
        let deployment = self.deployment.as_mut();
        let Some(deployment) = deployment.filter(|old| old.is_active() || old.has_failed()) else {
            return self.active().map(|_| ());
        };
        let had_failed = deployment.has_failed();
        deployment.paused = false;
        deployment.ended = None;
        deployment.progressed = now;
        if had_failed {
            self.conclude(number, Outcome::Deploying, cx);
        }
        Ok(())
    }

    fn promote(&mut self, cx: &mut Context<'_>) -> Result<(), SteerError> {
        let (policy, replicas) = (self.spec.update, self.n_wanted());
        let fresh = u32::try_from(self.index.fresh.len()).unwrap_or(u32::MAX);
        let name = self.spec.name.clone();
        let deployment = self.active()?;
        let gate = Deployment::gate(&policy, replicas);
        if deployment.promoted {
            return Err(SteerError::Promoted(name));
        }
        if fresh < gate {
            return Err(SteerError::NotAvailable { name, fresh, gate });
        }
        deployment.promoted = true;
        deployment.progressed = cx.now();
        Ok(())
    }

    fn roll_back(&mut self, number: Option<u64>, cx: &mut Context<'_>) -> Result<(), SteerError> {
        let name = || self.spec.name.clone();
        let number = match number {
            Some(number) => number,
            None => self.last_good().ok_or_else(|| SteerError::NoGood(name()))?,
        };
        if !self.versions.contains_key(&number) {
            return Err(SteerError::NoSuchVersion { name: name(), number });
        }
        if number == self.version {
            return Err(SteerError::Same { name: name(), number });
        }
        let deployment = Deployment::rollback(number, None, cx.now());
        self.conclude(number, Outcome::Deploying, cx);
        self.turn_to(number, deployment, cx);
        Ok(())
    }

    /// The last version that was good before the present one.
    fn last_good(&self) -> Option<u64> {
        let is_good = |number: &u64| {
            let version = self.versions.get(number);
            version.is_some_and(|version| version.outcome == Outcome::Good)
        };
        let good = self.good.filter(|good| *good != self.version);
        let mut earlier = self
            .versions
            .range(..self.version)
            .rev()
            .map(|(number, _)| *number);
        good.or_else(|| earlier.find(is_good))
    }
}
