//! The way to the master and to agents, for every client command.

mod attach;
mod contact;
mod job_pages;
mod jobs;
mod last_bytes;
mod logs;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_grpc::leader;
use proffer_grpc::v1::agent_client::AgentClient;
use proffer_grpc::v1::configs_client::ConfigsClient;
use proffer_grpc::v1::exec_client::ExecClient;
use proffer_grpc::v1::files_client::FilesClient;
use proffer_grpc::v1::images_client::ImagesClient;
use proffer_grpc::v1::jobs_client::JobsClient;
use proffer_grpc::v1::operator_client::OperatorClient;
use proffer_grpc::v1::services_client::ServicesClient;
use proffer_grpc::v1::stats_client::StatsClient;
use proffer_wire::v1;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::failure::{WrongUse, refused, root_cause};

pub(crate) use attach::{Parted, Typist};
pub(crate) use contact::Contact;
pub(crate) use job_pages::JobPages;
pub(crate) use jobs::{JobWatcher, has_ended};
pub(crate) use logs::{LogReader, Phase};

/// How long a connection may take to open: loopback and LAN need milliseconds, a dead host never answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often an idle connection is probed, and how long the answer may take: a frozen peer counts as lost after both.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// The largest answer: a list of some hundred thousand tasks.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// Tasks asked for at a time: some hundred KiB, and little enough for the master to do other things in between.
const PAGE_TASKS: u32 = 1_000;

/// Tasks of a list.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) tasks: Vec<v1::list_tasks_response::Task>,
    /// Whether there are more than were asked for.
    pub(crate) is_cut: bool,
    /// How many live tasks the master has, of the framework if one was named.
    pub(crate) n_live: u64,
}

/// Which cluster to talk to.
#[derive(Debug, Clone, Args)]
pub(crate) struct MasterArgs {
    /// Address of the master, `host:port`; several, separated by commas, are tried in order
    #[arg(
        long,
        env = "PROFFER_MASTER",
        default_value = "127.0.0.1:5050",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    master: Vec<String>,
}

/// A connected cluster. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    masters: Arc<[String]>,
    /// To the master that led when it was looked for.
    leader: Arc<Mutex<Channel>>,
    agents: Arc<Mutex<HashMap<String, Channel>>>,
    /// Where agents listen, by id, as last told.
    addresses: Arc<Mutex<HashMap<String, String>>>,
}

fn endpoint(address: &str) -> Result<Endpoint> {
    let refuse = || {
        WrongUse(format!(
            "`{address}` is not an address; write it like 127.0.0.1:5050"
        ))
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(refuse)?;
    if host.contains('/') || !port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(refuse().into());
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| refuse())?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

/// The way to the master that leads: of those listed, or one that they name. Where masters answer and none leads, to one
/// of them, which says so to whoever asks for more.
async fn find_leader(masters: &[String]) -> Result<Channel> {
    let mut waiting = masters.iter().cloned().collect::<VecDeque<_>>();
    let (mut asked, mut standby, mut failures) = (BTreeSet::new(), None, Vec::new());
    while let Some(address) = waiting.pop_front() {
        let endpoint = endpoint(&address)?;
        if !asked.insert(address.clone()) {
            continue;
        }
        let channel = match endpoint.connect().await {
            Ok(channel) => channel,
            Err(error) => {
                failures.push(format!("{address}: {}", root_cause(&error)));
                continue;
            }
        };
        let request = v1::GetClusterRequest {};
        match OperatorClient::new(channel.clone()).get_cluster(request).await {
            Ok(_) => return Ok(channel),
            Err(status) => waiting.extend(leader::named(&status).map(str::to_owned)),
        }
        standby.get_or_insert(channel);
    }
    standby.with_context(|| {
        format!(
            "cannot reach a master at {}; is it running? start one with `proffer dev`, or name its address with \
             --master or PROFFER_MASTER",
            failures.join(", ")
        )
    })
}

impl Cluster {
    /// Connects to the master that leads.
    pub(crate) async fn connect(args: &MasterArgs) -> Result<Self> {
        let leader = find_leader(&args.master).await?;
        Ok(Self {
            masters: args.master.clone().into(),
            leader: Arc::new(Mutex::new(leader)),
            agents: Arc::default(),
            addresses: Arc::default(),
        })
    }

    /// Looks for the leader again, where there are several masters; without success all stays as it is.
    pub(crate) async fn seek_leader(&self) {
        if self.masters.len() > 1
            && let Ok(found) = find_leader(&self.masters).await
        {
            *self.leader.lock().unwrap_or_else(PoisonError::into_inner) = found;
        }
    }

    fn leader(&self) -> Channel {
        self.leader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The master's own API.
    pub(crate) fn operator(&self) -> OperatorClient<Channel> {
        OperatorClient::new(self.leader()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The batch framework's API, through the master.
    pub(crate) fn jobs(&self) -> JobsClient<Channel> {
        JobsClient::new(self.leader()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service framework's API, through the master.
    pub(crate) fn services(&self) -> ServicesClient<Channel> {
        ServicesClient::new(self.leader()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The service framework's configs, through the master.
    pub(crate) fn configs(&self) -> ConfigsClient<Channel> {
        ConfigsClient::new(self.leader()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The files of an agent's tasks.
    pub(crate) fn files(&self, address: &str) -> Result<FilesClient<Channel>> {
        Ok(FilesClient::new(self.agent_channel(address)?))
    }

    /// An agent's own API.
    pub(crate) fn agent(&self, address: &str) -> Result<AgentClient<Channel>> {
        Ok(AgentClient::new(self.agent_channel(address)?))
    }

    /// What an agent counts for its tasks.
    pub(crate) fn stats(&self, address: &str) -> Result<StatsClient<Channel>> {
        let client = StatsClient::new(self.agent_channel(address)?);
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// What an agent lets people do inside of its tasks.
    pub(crate) fn exec(&self, address: &str) -> Result<ExecClient<Channel>> {
        Ok(ExecClient::new(self.agent_channel(address)?))
    }

    /// Where an agent listens. All are asked for when one is not known.
    async fn agent_address(&self, agent_id: &str) -> Result<String, Status> {
        let known = || {
            let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
            addresses
                .get(agent_id)
                .filter(|address| !address.is_empty())
                .cloned()
        };
        if let Some(address) = known() {
            return Ok(address);
        }
        let request = v1::ListAgentsRequest { include_gone: false };
        let agents = self.operator().list_agents(request).await?.into_inner().agents;
        let fresh = agents
            .into_iter()
            .map(|agent| (agent.agent_id, agent.info.unwrap_or_default().address));
        *self.addresses.lock().unwrap_or_else(PoisonError::into_inner) = fresh.collect();
        known().ok_or_else(|| Status::unavailable("its agent is not connected"))
    }

    /// Connects when it is first used, and again whenever the connection broke.
    fn agent_channel(&self, address: &str) -> Result<Channel> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match agents.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = endpoint(address)?.connect_lazy();
                agents.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Ok(channel)
    }

    /// An agent's images; connects in the same way.
    pub(crate) fn images(&self, address: &str) -> Result<ImagesClient<Channel>> {
        let client = ImagesClient::new(self.agent_channel(address)?);
        Ok(client.max_decoding_message_size(MAX_ANSWER_BYTES))
    }

    /// The address of the only agent of the cluster.
    pub(crate) async fn only_agent(&self) -> Result<String> {
        let answer = self
            .operator()
            .list_agents(v1::ListAgentsRequest::default())
            .await;
        let mut agents = answer.map_err(|status| refused(&status))?.into_inner().agents;
        let n_agents = agents.len();
        match agents.pop().and_then(|agent| agent.info) {
            Some(info) if n_agents == 1 => Ok(info.address),
            _ => {
                let which = format!("there are {n_agents} agents: name one, as `proffer agents` shows it");
                Err(WrongUse(which).into())
            }
        }
    }

    /// The address of the one agent whose id is, or begins with, `id`.
    pub(crate) async fn find_agent(&self, id: &str) -> Result<String> {
        let answer = self
            .operator()
            .list_agents(v1::ListAgentsRequest::default())
            .await;
        let mut agents = answer.map_err(|status| refused(&status))?.into_inner().agents;
        let is_whole = agents.iter().any(|agent| agent.agent_id == id);
        agents.retain(|agent| match is_whole {
            true => agent.agent_id == id,
            false => !id.is_empty() && agent.agent_id.starts_with(id),
        });
        anyhow::ensure!(
            agents.len() < 2,
            "the ids of {} agents begin with `{id}`",
            agents.len()
        );
        let info = agents.pop().and_then(|agent| agent.info);
        let address = info.map(|info| info.address);
        address.with_context(|| format!("no agent `{id}`; `proffer agents` lists what the master knows"))
    }

    /// Tasks that are asked for, up to `at_most`.
    pub(crate) async fn tasks(&self, request: v1::ListTasksRequest, at_most: Option<usize>) -> Result<Tasks> {
        let mut listed = Tasks::default();
        let at_most = at_most.unwrap_or(usize::MAX);
        let mut page_token = String::new();
        loop {
            let missing = at_most.saturating_sub(listed.tasks.len());
            let limit = u32::try_from(missing).unwrap_or(u32::MAX).min(PAGE_TASKS);
            let request = v1::ListTasksRequest {
                limit,
                page_token,
                ..request.clone()
            };
            let answer = self.operator().list_tasks(request).await;
            let answer = answer.map_err(|status| refused(&status))?.into_inner();
            page_token = answer.next_page_token;
            listed.tasks.extend(answer.tasks);
            listed.n_live = answer.n_live;
            listed.is_cut = !page_token.is_empty();
            if !listed.is_cut || listed.tasks.len() >= at_most {
                return Ok(listed);
            }
        }
    }

    /// The one task of that id, among all frameworks, running or completed.
    pub(crate) async fn find_task(&self, task_id: &str) -> Result<v1::list_tasks_response::Task> {
        // The master takes no id for all of them.
        if task_id.is_empty() {
            return Err(WrongUse("a task's id is empty".to_owned()).into());
        }
        let request = v1::ListTasksRequest {
            task_id: task_id.to_owned(),
            include_completed: true,
            ..Default::default()
        };
        let answer = self
            .operator()
            .list_tasks(request)
            .await
            .map_err(|status| refused(&status))?;
        let mut tasks = answer.into_inner().tasks;
        if tasks.len() > 1 {
            tasks.retain(|task| !crate::views::is_terminal(task.state));
        }
        let frameworks: Vec<_> = tasks.iter().map(|task| task.framework_name.as_str()).collect();
        anyhow::ensure!(
            frameworks.len() < 2,
            "several frameworks have a task `{task_id}`: {}",
            frameworks.join(", ")
        );
        tasks.pop().with_context(|| {
            format!("no task `{task_id}`; `proffer tasks --all` lists what the master knows")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for bad in [
            "",
            "host",
            "host:",
            ":5050/x",
            "host:0",
            "host:99999",
            "http://host:5050",
            "a b:1",
        ] {
            assert!(endpoint(bad).is_err(), "{bad:?}");
        }
        for good in ["127.0.0.1:5050", "[::1]:5050", "master.example:5050"] {
            assert!(endpoint(good).is_ok(), "{good:?}");
        }
    }
}
