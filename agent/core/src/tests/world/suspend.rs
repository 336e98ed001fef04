//! Suspensions and what comes of them, as text.

use proffer_types::TaskId;
use proffer_types::agent_link::MasterMessage;

use super::{World, framework};
use crate::Command;

impl World {
    /// `suspend t`, `resume t 1`, `frozen t [WHY NOT]`.
    pub(super) fn suspension(&mut self, words: &[&str]) {
        let task_id = TaskId::new(words[1]).unwrap();
        match *words {
            ["suspend", _] => self.frame(
                self.link,
                MasterMessage::SuspendTask {
                    framework_id: framework(),
                    task_id,
                },
            ),
            ["resume", _, suspension] => self.frame(
                self.link,
                MasterMessage::ResumeTask {
                    framework_id: framework(),
                    task_id,
                    suspension: suspension.parse().unwrap(),
                },
            ),
            ["frozen", name, ref why @ ..] => self.step(Command::Frozen {
                container_id: self.container(name),
                result: match why.is_empty() {
                    true => Ok(()),
                    false => Err(why.join(" ")),
                },
            }),
            _ => panic!("unknown command {words:?}"),
        }
    }
}
