//! What goes wrong, and when: breaks, partitions, crashes, and requests of operators, until everything is healed.

use std::time::Duration;

use proffer_master_core::OperatorRequest;
use proffer_types::{KillPolicy, Role};

use crate::network::Peer;
use crate::world::{Happening, World};

impl World {
    pub(crate) fn schedule_fault(&mut self) {
        let mean = self.scenario.faults.mean_ms;
        if mean > 0 && !self.healed {
            let delay = self.dice.millis(1..2 * mean);
            self.queue.after(delay, Happening::Fault);
        }
    }

    pub(crate) fn fault(&mut self) {
        if self.healed {
            return;
        }
        match self.dice.number(0..100) {
            0..30 => self.break_a_stream(),
            30..45 => self.cut_somebody_off(),
            45..60 => {
                let agent = self.dice.index(self.agents.len());
                self.crash_agent(agent);
            }
            60..75 => self.crash_master(),
            75..90 => {
                let framework = self.dice.index(self.frameworks.len());
                self.crash_framework(framework);
            }
            _ => self.ask_for_something(),
        }
        self.schedule_fault();
    }

    fn break_a_stream(&mut self) {
        let streams = self.network.whole();
        if !streams.is_empty() {
            let stream = streams[self.dice.index(streams.len())];
            let now = self.now();
            self.trace.line(now, format_args!("fault: {stream:?} breaks"));
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
        }
    }

    fn cut_somebody_off(&mut self) {
        let n = self.dice.index(self.agents.len() + self.frameworks.len());
        let peer = n
            .checked_sub(self.agents.len())
            .map_or(Peer::Agent(n), Peer::Framework);
        let length = if self.dice.chance(600) {
            self.dice.millis(1..14_000)
        } else {
            self.dice.seconds(14..150)
        };
        let until = self.now().after(length).min(self.scenario.faults.until);
        let now = self.now();
        self.trace
            .line(now, format_args!("fault: {peer:?} is cut off until {until:?}"));
        self.network.partition(peer, until);
    }

    /// How long a process stays down: mostly a restart, sometimes long enough to be given up.
    pub(crate) fn downtime(&mut self) -> Duration {
        let down = if self.dice.chance(800) {
            self.dice.millis(1..5_000)
        } else {
            self.dice.seconds(5..150)
        };
        let left = self.scenario.faults.until.since(self.now());
        down.min(left + Duration::from_secs(3))
    }

    /// An operator's request at a random moment.
    fn ask_for_something(&mut self) {
        let Some(core) = &self.master.core else { return };
        let tasks = core.snapshot().tasks;
        let operation = if tasks.is_empty() || self.dice.chance(300) {
            let roles = ["*", "eng", "eng/prod", "ops"];
            OperatorRequest::SetRole {
                role: Role::new(roles[self.dice.index(roles.len())]).expect("a valid role"),
                weight_millis: self.dice.number(1..10) * 500,
            }
        } else {
            let task = &tasks[self.dice.index(tasks.len())];
            OperatorRequest::KillTask {
                framework_id: task.framework_id.clone(),
                task_id: task.info.id.clone(),
                kill_policy: KillPolicy::default(),
            }
        };
        self.master_asked(operation);
    }

    /// From here on everything works, and what is down comes up.
    pub(crate) fn heal(&mut self) {
        let now = self.now();
        self.trace.line(now, format_args!("healed"));
        self.healed = true;
        self.network.late_permille = 0;
        self.network.max_delay_ms = self.network.max_delay_ms.min(50);
    }
}
