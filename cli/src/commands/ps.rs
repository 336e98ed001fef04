//! `proffer ps`.

use anyhow::Result;
use clap::Args;
use proffer_types::TaskState;
use proffer_wire::v1;
use proffer_wire::v1::list_tasks_response::Task;
use serde::{Serialize, Serializer};

use crate::client::{Cluster, MasterArgs};
use crate::output::{Answer, OutputArgs, Rows, show};
use crate::views::{ActiveTask, TaskView};

/// Tasks of a table where nobody says how many: a screen or two, and next to nothing for the master.
const DEFAULT_LIMIT: usize = 100;

/// List the tasks that run or are about to
#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    /// Only those of this framework, by its id
    #[arg(long, env = "PROFFER_FRAMEWORK", value_name = "ID")]
    framework: Option<String>,
    /// Only those on this agent, by its id
    #[arg(long, env = "PROFFER_AGENT", value_name = "ID")]
    agent: Option<String>,
    /// Only those in this state, such as `running`; may be repeated
    #[arg(long, env = "PROFFER_STATE", value_delimiter = ',', value_parser = state, value_name = "STATE")]
    state: Vec<TaskState>,
    /// Only those whose id begins with this
    #[arg(
        long,
        env = "PROFFER_PREFIX",
        default_value = "",
        hide_default_value = true,
        value_name = "TEXT"
    )]
    prefix: String,
    /// No more than this many, in the order of frameworks and ids; a table has 100 where nothing is said, JSON and YAML
    /// all
    #[arg(long, env = "PROFFER_PS_LIMIT", value_parser = clap::value_parser!(u32).range(1..), value_name = "COUNT")]
    limit: Option<u32>,
    /// All of them, in a table too
    #[arg(short, long, env = "PROFFER_ALL", conflicts_with = "limit")]
    all: bool,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The states of tasks that are not over.
fn active() -> impl Iterator<Item = TaskState> {
    let all = TaskState::ALL.into_iter();
    all.filter(|state| !state.is_terminal())
}

fn state(text: &str) -> Result<TaskState, String> {
    let found = active().find(|state| state.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let all: Vec<_> = active().map(|state| state.as_str().to_lowercase()).collect();
        format!("it is not one of {}", all.join(", "))
    })
}

impl PsArgs {
    /// How many tasks are listed at most.
    fn limit(&self) -> Option<usize> {
        match self.limit {
            Some(limit) => usize::try_from(limit).ok(),
            None if self.all || !self.output.is_table() => None,
            None => Some(DEFAULT_LIMIT),
        }
    }

    fn states(&self) -> impl Iterator<Item = TaskState> {
        active().filter(|state| self.state.is_empty() || self.state.contains(state))
    }

    fn request(&self) -> v1::ListTasksRequest {
        v1::ListTasksRequest {
            framework_id: self.framework.clone().unwrap_or_default(),
            agent_id: self.agent.clone().unwrap_or_default(),
            task_id_prefix: self.prefix.clone(),
            states: self
                .states()
                .map(|state| v1::TaskState::from(state).into())
                .collect(),
            ..Default::default()
        }
    }

    fn wants(&self, task: &Task) -> bool {
        let info = task.info.as_ref();
        let is = |test: &dyn Fn(&v1::TaskInfo) -> bool| info.is_some_and(test);
        self.states()
            .any(|state| i32::from(v1::TaskState::from(state)) == task.state)
            && self
                .agent
                .as_ref()
                .is_none_or(|id| is(&|info| info.agent_id == *id))
            && is(&|info| info.task_id.starts_with(&self.prefix))
    }

    fn is_filtered(&self) -> bool {
        self.agent.is_some() || !self.state.is_empty() || !self.prefix.is_empty()
    }
}

/// Tasks, and in a table what is said of those that are not shown.
#[derive(Debug)]
struct Listed {
    rows: Rows<ActiveTask>,
    note: String,
}

impl Serialize for Listed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.rows.serialize(serializer)
    }
}

impl Answer for Listed {
    fn text(&self, width: usize) -> String {
        self.rows.text(width) + &self.note
    }
}

pub(super) async fn ps(args: PsArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let mut listed = cluster.tasks(args.request(), args.limit()).await?;
        // A master that is older than these filters leaves them to whoever asks.
        listed.tasks.retain(|task| args.wants(task));
        let n_shown = listed.tasks.len();
        let note = match (listed.is_cut, args.is_filtered()) {
            (false, _) => String::new(),
            (true, false) => format!(
                "showing {n_shown} of {} tasks; --all shows the others too\n",
                listed.n_live
            ),
            (true, true) => format!("showing {n_shown} tasks; --all shows the others too\n"),
        };
        let rows = listed.tasks.into_iter().map(TaskView::from).map(ActiveTask);
        Ok(Listed {
            rows: Rows(rows.collect()),
            note,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: PsArgs,
    }

    fn args(line: &str) -> Result<PsArgs, String> {
        let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        Ok(line.args)
    }

    #[test]
    fn a_table_is_short_and_what_programs_read_is_whole_unless_a_length_is_given() {
        for (line, limit) in [
            ("ps", Some(100)),
            ("ps --all", None),
            ("ps --limit 7", Some(7)),
            ("ps -o json", None),
            ("ps -o yaml --limit 7", Some(7)),
        ] {
            assert_eq!(args(line).unwrap().limit(), limit, "{line}");
        }
        for bad in [
            "ps --limit 0",
            "ps --limit 3 --all",
            "ps --state finished",
            "ps --state x",
        ] {
            assert!(args(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_tasks_that_are_not_over_are_asked_for() {
        let states = |line: &str| args(line).unwrap().request().states;
        let all = states("ps");
        assert!(!all.is_empty() && all.iter().all(|state| !crate::views::is_terminal(*state)));
        let some = [v1::TaskState::TaskRunning, v1::TaskState::TaskKilling];
        assert_eq!(states("ps --state running,KILLING"), some.map(i32::from));
    }
}
