//! A framework with an executor of its own, in one program: thousands of small tasks run in one container, on threads that
//! are there already.
//!
//! `cargo run --release -p proffer-sdk --example primes -- 127.0.0.1:5050 1000` counts the primes below 1, below 2, and so
//! on. The agents have to see this program: without an image, tasks see the host's files.

use std::collections::BTreeMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use proffer_sdk::store::Memory;
use proffer_sdk::types::executor::ENV_SOCKET;
use proffer_sdk::types::{
    ExecutorId, ExecutorInfo, Filters, Offer, Resources, TaskId, TaskInfo, TaskState, TaskStatus,
};
use proffer_sdk::{
    CancellationToken, Config, Context, Driver, Executor, ExecutorDriver, Reporter, Scheduler,
};

/// The executor's half: a task goes to whichever thread is free.
struct Pool {
    work: mpsc::Sender<TaskInfo>,
    reporter: Reporter,
}

impl Executor for Pool {
    fn launch(&mut self, task: TaskInfo) {
        // The threads live as long as this does.
        let _ = self.work.send(task);
    }

    /// A task takes microseconds; what still waits for a thread counts as killed, and is computed for nothing.
    fn kill(&mut self, task: &TaskId, _grace: Duration) {
        self.reporter.killed(task);
    }
}

impl Pool {
    fn start(reporter: Reporter) -> Self {
        let (work, queue) = mpsc::channel::<TaskInfo>();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..2 {
            let (queue, reporter) = (Arc::clone(&queue), reporter.clone());
            thread::spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                while let Ok(task) = next() {
                    match String::from_utf8_lossy(&task.data).parse() {
                        Ok(below) => reporter.finished(&task.id, primes_below(below).to_string()),
                        Err(error) => reporter.failed(&task.id, format!("its data is no number: {error}")),
                    }
                }
            });
        }
        Self { work, reporter }
    }
}

fn primes_below(n: u32) -> usize {
    let is_prime = |n: &u32| (2..).take_while(|d| d * d <= *n).all(|d| !n.is_multiple_of(d));
    (2..n).filter(is_prime).count()
}

/// The framework's half.
struct Primes {
    need: Resources,
    executor: Arc<ExecutorInfo>,
    /// Numbers that no task has.
    waiting: Vec<u32>,
    /// Numbers of tasks, by id.
    running: BTreeMap<TaskId, u32>,
    results: BTreeMap<u32, String>,
    done: CancellationToken,
}

impl Scheduler for Primes {
    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        for offer in offers {
            let mut rest = offer.resources.clone();
            let mut tasks = Vec::new();
            while rest.contains(&self.need)
                && let Some(n) = self.waiting.pop()
            {
                let Ok(id) = TaskId::new(format!("primes-{n}")) else {
                    return;
                };
                self.running.insert(id.clone(), n);
                rest.subtract(&self.need);
                let (agent, need) = (offer.agent_id.clone(), self.need.clone());
                let executor = Arc::clone(&self.executor);
                tasks.push(TaskInfo::for_executor(id, agent, need, executor, n.to_string()));
            }
            if !tasks.is_empty() {
                cx.launch(&offer, tasks, Filters::NONE);
            }
        }
    }

    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        if !status.state.is_terminal() {
            return;
        }
        let Some(n) = self.running.remove(&status.task_id) else {
            return;
        };
        if status.state == TaskState::Finished {
            self.results.insert(n, status.message.clone());
        } else {
            eprintln!(
                "{}: {}: {}",
                status.task_id,
                status.state.as_str(),
                status.message
            );
            self.waiting.push(n);
            cx.revive();
        }
        if self.waiting.is_empty() && self.running.is_empty() {
            self.done.cancel();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    if env::var_os(ENV_SOCKET).is_some() {
        let driver = ExecutorDriver::from_env()?;
        let pool = Pool::start(driver.reporter());
        return Ok(driver.run(pool).await?);
    }
    let mut args = env::args().skip(1);
    let master = args.next().ok_or("usage: primes MASTER [TASKS]")?;
    let n_tasks: u32 = args.next().as_deref().unwrap_or("1000").parse()?;
    let program = env::current_exe()?.display().to_string();
    let done = CancellationToken::new();
    let primes = Primes {
        need: "cpus:0.01;mem:32MiB".parse()?,
        executor: ExecutorInfo::new(ExecutorId::new("primes")?, [program]),
        waiting: (1..=n_tasks).rev().collect(),
        running: BTreeMap::new(),
        results: BTreeMap::new(),
        done: done.clone(),
    };
    let mut config = Config::new(vec![master], "primes");
    config.info.failover_timeout = Duration::ZERO; // Nothing is left behind.
    let started = Instant::now();
    let primes = Driver::new(config, Arc::new(Memory::new()), primes)
        .run(done)
        .await?;
    if let Some((n, count)) = primes.results.last_key_value() {
        eprintln!(
            "{} tasks in {:?}; {count} primes below {n}",
            primes.results.len(),
            started.elapsed()
        );
    }
    Ok(())
}
