//! The latest deployment of a service.

use proffer_wire::v1;
use serde::Serialize;

use crate::output::printable;
use crate::views::text::{State, ago, state_name, took};

#[derive(Debug, Serialize)]
pub(super) struct DeploymentView {
    to: u64,
    from: Option<u64>,
    state: State,
    started_ms: u64,
    progressed_ms: u64,
    ended_ms: Option<u64>,
    /// How many replicas of the version have been available at once.
    available: u32,
    /// The version that failed and is taken back, and why.
    rolls_back: Option<u64>,
    rolls_back_why: Option<String>,
    /// What keeps it from going on; or why it failed.
    message: Option<String>,
    #[serde(skip)]
    kind: v1::DeploymentState,
}

impl From<v1::Deployment> for DeploymentView {
    fn from(deployment: v1::Deployment) -> Self {
        let kind = deployment.state();
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            to: deployment.to,
            from: deployment.from,
            state: state_name(kind.as_str_name(), "DEPLOYMENT_"),
            started_ms: deployment.started_ms,
            progressed_ms: deployment.progressed_ms,
            ended_ms: deployment.ended_ms,
            available: deployment.available,
            rolls_back: deployment.rolls_back,
            rolls_back_why: said(deployment.rolls_back_why),
            message: said(deployment.message),
            kind,
        }
    }
}

impl DeploymentView {
    /// What a service is at because of it, in a word; none when it is over and went well.
    pub(super) fn headline(&self) -> Option<&'static str> {
        match self.kind {
            v1::DeploymentState::DeploymentTrying | v1::DeploymentState::DeploymentReplacing => {
                Some(match self.rolls_back {
                    Some(_) => "ROLLING_BACK",
                    None => "DEPLOYING",
                })
            }
            v1::DeploymentState::DeploymentAwaitsPromotion => Some("AWAITS_PROMOTION"),
            v1::DeploymentState::DeploymentPaused => Some("PAUSED"),
            v1::DeploymentState::DeploymentFailed => Some("DEPLOYMENT_FAILED"),
            v1::DeploymentState::DeploymentDone | v1::DeploymentState::Unspecified => None,
        }
    }

    /// For people; nothing where there is nothing to tell.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        if let (Some(version), Some(why)) = (self.rolls_back, &self.rolls_back_why) {
            text += &format!(
                "version {version} failed and was taken back to version {}: {}\n",
                self.to,
                printable(why)
            );
        }
        match self.ended_ms {
            Some(_) if self.kind == v1::DeploymentState::DeploymentDone => {}
            Some(ended) => {
                text += &format!(
                    "deployment of version {}  {}  after {}",
                    self.to,
                    self.state,
                    took(self.started_ms, ended)
                );
            }
            None => {
                text += &format!(
                    "deployment of version {}  {}  began {}  last progress {}",
                    self.to,
                    self.state,
                    ago(self.started_ms),
                    ago(self.progressed_ms)
                );
            }
        }
        if let Some(message) = &self.message {
            text += &format!(": {}", printable(message));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text
    }
}
