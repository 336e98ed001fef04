//! What tasks use, read from the agents that run them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::operator_client::OperatorClient;
use proffer_grpc::v1::stats_client::StatsClient;
use proffer_sdk::Handle;
use proffer_service_core::{INTERVAL, Reading, Services};
use proffer_types::{AgentId, TaskId, Timestamp};
use proffer_wire::v1;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tonic::transport::{Channel, Endpoint};
use tracing::debug;

/// How long an agent, or a master, may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Agents that are asked at once.
const AT_ONCE: usize = 32;
/// Larger answers are refused: some thousand bytes for each of ten thousand agents, or tasks of an agent.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Masters that are asked in a row where each names another.
const MAX_MASTERS: usize = 8;

/// Reads and tells, over and over.
pub(super) async fn forever(handle: &Handle<Services>, masters: Vec<String>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut agents = Agents {
        n_masters: masters.len(),
        masters: Masters::new(masters),
        known: BTreeMap::new(),
    };
    loop {
        ticks.tick().await;
        // Whoever cannot answer now may later; if never, we are stopped.
        let Ok(wanted) = handle.call(|services, _| services.tasks_to_read()).await else {
            continue;
        };
        let Some(framework) = handle.framework_id() else {
            continue;
        };
        if wanted.is_empty() {
            continue;
        }
        agents.find(&wanted).await;
        let read = agents.read(framework.as_str(), &wanted).await;
        let told = handle.call(move |services, cx| {
            for (agent, readings) in &read {
                services.used(agent, readings, cx.now());
            }
        });
        if let Err(error) = told.await {
            debug!(%error, "what tasks use was not taken");
        }
    }
}

type Tasks = BTreeMap<AgentId, Vec<TaskId>>;

/// Where agents are.
struct Agents {
    n_masters: usize,
    masters: Masters,
    /// Those that did not fail when they were asked last.
    known: BTreeMap<AgentId, Channel>,
}

impl Agents {
    /// Looks for those that are not known; forgets those that are not wanted.
    async fn find(&mut self, wanted: &Tasks) {
        self.known.retain(|agent, _| wanted.contains_key(agent));
        if wanted.keys().all(|agent| self.known.contains_key(agent)) {
            return;
        }
        for agent in self.list().await {
            let Ok(id) = AgentId::new(agent.agent_id) else {
                continue;
            };
            let address = agent.info.map(|info| info.address).unwrap_or_default();
            if wanted.contains_key(&id)
                && !self.known.contains_key(&id)
                && let Some(endpoint) = endpoint(&address)
            {
                self.known.insert(id, endpoint.connect_lazy());
            }
        }
    }

    /// All agents, by the master that leads; none where it does not answer.
    async fn list(&mut self) -> Vec<v1::list_agents_response::Agent> {
        for _ in 0..self.n_masters.clamp(1, MAX_MASTERS) + 1 {
            let Some(master) = self.masters.dial().and_then(|address| endpoint(&address)) else {
                continue;
            };
            let client = OperatorClient::new(master.connect_lazy());
            let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
            let listed = client.list_agents(v1::ListAgentsRequest::default());
            match timeout(PATIENCE, listed).await {
                Ok(Ok(answer)) => return answer.into_inner().agents,
                Ok(Err(status)) => {
                    debug!(%status, "a master does not list agents");
                    if let Some(leader) = leader::named(&status) {
                        self.masters.follow(leader);
                    }
                }
                Err(_) => debug!("a master does not answer"),
            }
        }
        Vec::new()
    }

    /// What is counted for the tasks. An agent that does not answer is looked for again the next time: it may be elsewhere.
    async fn read(&mut self, framework: &str, wanted: &Tasks) -> Vec<(AgentId, Vec<(TaskId, Reading)>)> {
        let asked = self.known.iter().filter_map(|(agent, channel)| {
            let tasks: BTreeSet<&str> = wanted.get(agent)?.iter().map(TaskId::as_str).collect();
            Some(async move { (agent.clone(), read(channel.clone(), framework, &tasks).await) })
        });
        // The futures are made at once, as they borrow; they run some at a time.
        let asked: Vec<_> = asked.collect();
        let answers: Vec<_> = futures::stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let mut read = Vec::new();
        for (agent, answer) in answers {
            match answer {
                Some(readings) => read.push((agent, readings)),
                None => {
                    self.known.remove(&agent);
                }
            }
        }
        read
    }
}

fn endpoint(address: &str) -> Option<Endpoint> {
    let endpoint = leader::is_address(address).then(|| Endpoint::from_shared(format!("http://{address}")));
    Some(endpoint?.ok()?.connect_timeout(PATIENCE).tcp_nodelay(true))
}

/// What one agent counts for these tasks of a framework.
async fn read(channel: Channel, framework: &str, tasks: &BTreeSet<&str>) -> Option<Vec<(TaskId, Reading)>> {
    let mut client = StatsClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let answer = client.get_statistics(v1::GetStatisticsRequest::default());
    let answer = match timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => answer.into_inner(),
        Ok(Err(status)) => {
            debug!(%status, "an agent does not tell what its tasks use");
            return None;
        }
        Err(_) => {
            debug!("an agent does not answer");
            return None;
        }
    };
    let ours = answer.tasks.into_iter();
    let ours = ours.filter(|of| of.framework_id == framework && tasks.contains(&*of.task_id));
    Some(ours.filter_map(reading).collect())
}

fn reading(of: v1::TaskStatistics) -> Option<(TaskId, Reading)> {
    let statistics = of.statistics?;
    let memory = statistics.memory?;
    // The page cache can be taken away; what is shared counts as such, and cannot.
    let cache = memory.file_bytes.saturating_sub(memory.shmem_bytes);
    let reading = Reading {
        at: Timestamp(statistics.timestamp_ms),
        cpu_us: statistics.cpu?.usage_us,
        mem_bytes: memory.current_bytes.saturating_sub(cache),
    };
    Some((TaskId::new(of.task_id).ok()?, reading))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(current: u64, file: u64, shmem: u64) -> v1::TaskStatistics {
        v1::TaskStatistics {
            framework_id: "f".to_owned(),
            task_id: "web.0.1".to_owned(),
            statistics: Some(v1::Statistics {
                timestamp_ms: 5,
                cpu: Some(v1::CpuStatistics {
                    usage_us: 7,
                    ..v1::CpuStatistics::default()
                }),
                memory: Some(v1::MemoryStatistics {
                    current_bytes: current,
                    file_bytes: file,
                    shmem_bytes: shmem,
                    ..v1::MemoryStatistics::default()
                }),
                ..v1::Statistics::default()
            }),
        }
    }

    #[test]
    fn the_page_cache_is_no_use_of_memory_and_shared_memory_is() {
        let bytes = |current, file, shmem| {
            reading(statistics(current, file, shmem)).map(|(_, reading)| reading.mem_bytes)
        };
        assert_eq!(bytes(100, 60, 0), Some(40));
        assert_eq!(bytes(100, 60, 50), Some(90));
        // Not read at the same moment, or made up.
        assert_eq!(bytes(100, 200, 0), Some(0));
        assert_eq!(bytes(100, 10, u64::MAX), Some(100));
        let nothing = v1::TaskStatistics {
            statistics: Some(v1::Statistics::default()),
            ..statistics(0, 0, 0)
        };
        assert_eq!(reading(nothing), None);
    }
}
