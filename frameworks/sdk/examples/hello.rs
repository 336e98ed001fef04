//! A whole framework: runs a number of tasks `echo hello`, and exits when all of them have finished.
//!
//! `cargo run -p proffer-sdk --example hello -- 127.0.0.1:5050 3`

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use proffer_sdk::store::Memory;
use proffer_sdk::types::{Filters, Offer, Resources, TaskId, TaskInfo, TaskState, TaskStatus};
use proffer_sdk::{CancellationToken, Config, Context, Driver, Scheduler};

struct Hello {
    /// What one task needs.
    need: Resources,
    n_waiting: u32,
    n_launched: u32,
    running: BTreeSet<TaskId>,
    done: CancellationToken,
}

impl Scheduler for Hello {
    /// Puts as many tasks on each offer as fit. What is left of it goes back by itself.
    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        for offer in offers {
            let mut rest = offer.resources.clone();
            let mut tasks = Vec::new();
            while self.n_waiting > 0 && rest.contains(&self.need) {
                self.n_waiting -= 1;
                self.n_launched += 1;
                let Ok(id) = TaskId::new(format!("hello-{}", self.n_launched)) else {
                    return;
                };
                self.running.insert(id.clone());
                rest.subtract(&self.need);
                let agent = offer.agent_id.clone();
                tasks.push(TaskInfo::new(id, agent, self.need.clone(), ["echo", "hello"]));
            }
            if !tasks.is_empty() {
                cx.launch(&offer, tasks, Filters::DEFAULT);
            }
        }
    }

    /// The same update may come twice, so a task counts only while it is in `running`.
    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        if !status.state.is_terminal() || !self.running.remove(&status.task_id) {
            return;
        }
        if status.state != TaskState::Finished {
            self.n_waiting += 1; // Lost or failed: again.
            cx.revive();
        } else if self.n_waiting == 0 && self.running.is_empty() {
            self.done.cancel();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let master = args.next().ok_or("usage: hello MASTER [TASKS]")?;
    let done = CancellationToken::new();
    let hello = Hello {
        need: "cpus:0.1;mem:32MiB".parse()?,
        n_waiting: args.next().as_deref().unwrap_or("3").parse()?,
        n_launched: 0,
        running: BTreeSet::new(),
        done: done.clone(),
    };
    let mut config = Config::new(vec![master], "hello");
    config.info.failover_timeout = Duration::ZERO; // Nothing is left behind.
    let hello = Driver::new(config, Arc::new(Memory::new()), hello)
        .run(done)
        .await?;
    eprintln!("all done: {} tasks launched", hello.n_launched);
    Ok(())
}
