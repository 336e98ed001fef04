//! What the framework says of itself as it goes: the roles and preferences its scheduler wants at the moment.

use proffer_types::scheduler_link::Call;

use super::{Link, Session};
use crate::{Output, Scheduler};

impl<S: Scheduler> Session<S> {
    /// Tells the master when the scheduler has come to want other roles or preferences. While the subscription waits for
    /// its answer, that is told after it.
    pub(super) fn follow_info(&mut self, out: &mut Output) {
        if !self.take_info() {
            return;
        }
        self.suppressed.retain(|role| self.info.roles.contains(role));
        self.forget_demand();
        match &mut self.link {
            Link::Down => {}
            Link::Subscribing { outdated, .. } => *outdated = true,
            Link::Up { .. } => self.tell_info(out),
        }
    }

    pub(super) fn tell_info(&self, out: &mut Output) {
        out.calls.push(Call::Update {
            info: self.info.clone(),
            suppressed_roles: self.suppressed.clone(),
        });
    }

    /// Takes the scheduler's roles, and the preferences for them, into the info; tells whether that changed it.
    pub(super) fn take_info(&mut self) -> bool {
        let roles = self.scheduler.roles().filter(|roles| !roles.is_empty());
        let new_roles = roles.filter(|roles| **roles != self.info.roles).cloned();
        let mut changed = new_roles.is_some();
        if let Some(roles) = new_roles {
            self.info.roles = roles;
        }
        let preferences = self.scheduler.preferences().unwrap_or(&self.preferences);
        let wanted = || {
            preferences
                .iter()
                .filter(|(role, _)| self.info.roles.contains(*role))
        };
        if !wanted().eq(&self.info.preferences) {
            let wanted = wanted().map(|(role, one)| (role.clone(), one.clone())).collect();
            self.info.preferences = wanted;
            changed = true;
        }
        changed
    }
}
