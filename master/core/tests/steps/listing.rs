//! Lists of tasks: a page at a time, and only what is asked for.

use proffer_master_core::limits::{MAX_TASKS_LOOKED_AT, MAX_TASKS_PER_PAGE};
use proffer_master_core::{Command, Config, LinkId, Master, Output, Registry, TaskCursor, TaskQuery};
use proffer_types::agent_link::RegisteredTask;
use proffer_types::{
    AgentId, AgentInfo, FrameworkId, Resources, Role, StatusSource, TaskId, TaskInfo, TaskState, TaskStatus,
    Timestamp,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Agent `host-<n>` comes, or comes back as `id`, with tasks `<framework>/<task>=<STATE>`.
fn register(master: &mut Master, n: u64, id: Option<AgentId>, tasks: &[String]) {
    let registered = |text: &String| {
        let (key, state) = text.split_once('=').unwrap();
        let (framework, task) = key.split_once('/').unwrap();
        let id = TaskId::new(task).unwrap();
        let agent = AgentId::new("whose-it-is-shows-the-link").unwrap();
        RegisteredTask {
            framework_id: FrameworkId::new(framework).unwrap(),
            role: Role::default(),
            group: None,
            info: TaskInfo::new(id.clone(), agent, Resources::of(1, 0, 0), ["true"]),
            latest_status: TaskStatus {
                task_id: id,
                agent_id: None,
                state: TaskState::ALL.into_iter().find(|s| s.as_str() == state).unwrap(),
                source: StatusSource::Agent,
                reason: None,
                message: String::new(),
                timestamp: Timestamp(0),
                uuid: None,
                exit: None,
                usage: None,
                condition: Default::default(),
            },
        }
    };
    let command = Command::AgentRegister {
        link: LinkId(n * 2 + u64::from(id.is_some())),
        info: AgentInfo {
            hostname: format!("host-{n}"),
            address: "127.0.0.1:1".to_owned(),
            resources: Resources::of(4000, 1 << 30, 0),
            attributes: Vec::new(),
            version: "test".to_owned(),
            cgroups: "cgroup v2".to_owned(),
            domain: None,
            can_suspend: false,
        },
        agent_id: id,
        tasks: tasks.iter().map(registered).collect(),
        operations: Vec::new(),
    };
    master.step(Timestamp(0), command, &mut Output::default());
}

fn empty() -> Master {
    let allocator = proffer_allocator::by_name("drf").unwrap();
    Master::recover(Config::default(), allocator, 1, 1, Registry::default())
}

/// Three agents, three frameworks, tasks in several states; those of `f-1` on the last agent ended and were seen to.
fn cluster() -> Master {
    let mut master = empty();
    let tasks = |agent: u64, states: [&str; 2]| -> Vec<String> {
        let of = |n: u64| {
            format!(
                "f-{}/t{}-{n}={}",
                n % 3,
                n * 7 % 5,
                states[usize::from(n.is_multiple_of(4))]
            )
        };
        (agent * 20..agent * 20 + 20).map(of).collect()
    };
    register(&mut master, 0, None, &tasks(0, ["RUNNING", "STARTING"]));
    register(&mut master, 1, None, &tasks(1, ["RUNNING", "KILLING"]));
    let last = tasks(2, ["FINISHED", "FAILED"]);
    register(&mut master, 2, None, &last);
    let id = master.snapshot().agents[2].agent_id.clone();
    let rest: Vec<String> = last.into_iter().filter(|task| !task.starts_with("f-1")).collect();
    register(&mut master, 2, Some(id), &rest);
    master
}

/// All pages of a list, each as long as it may be.
fn pages(master: &Master, query: &TaskQuery, limit: usize) -> Vec<String> {
    let mut listed = Vec::new();
    let mut after: Option<TaskCursor> = None;
    loop {
        let page = master.tasks_page(query, after.as_ref(), limit);
        assert!(page.tasks.len() <= limit);
        for task in &page.tasks {
            let mark = if task.completed { " ended" } else { "" };
            listed.push(format!("{}/{}{mark}", task.view.framework_id, task.view.info.id));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return listed,
        }
    }
}

fn any_query() -> impl Strategy<Value = TaskQuery> {
    let framework = select(vec!["", "f-0", "f-1", "f-9"]);
    let agent = select(vec![None, Some(0), Some(2)]);
    let task = select(vec!["", "t0-0", "t2-46", "none"]);
    let prefix = select(vec!["", "t", "t2-", "x"]);
    let states = select(vec![
        vec![],
        vec![TaskState::Running],
        vec![TaskState::Failed, TaskState::Killing],
    ]);
    (framework, agent, task, prefix, states, any::<bool>()).prop_map(
        |(framework, agent, task, prefix, states, completed)| TaskQuery {
            framework: FrameworkId::new(framework).ok(),
            agent: agent.map(|n: usize| cluster().snapshot().agents[n].agent_id.clone()),
            task: TaskId::new(task).ok(),
            prefix: prefix.to_owned(),
            states,
            completed,
        },
    )
}

proptest! {
    #[test]
    fn pages_of_any_size_hold_each_task_that_is_asked_for_once_and_in_order(
        query in any_query(),
        limit in 1..70_usize,
    ) {
        let master = cluster();
        let snapshot = master.snapshot();
        let ended = snapshot.completed_tasks.iter().filter(|_| query.completed);
        let all = snapshot.tasks.iter().map(|task| (task, ""));
        let all = all.chain(ended.map(|task| (task, " ended")));
        let wanted = all.filter(|(task, _)| {
            query.framework.as_ref().is_none_or(|id| *id == task.framework_id)
                && query.agent.as_ref().is_none_or(|id| *id == task.info.agent_id)
                && query.task.as_ref().is_none_or(|id| *id == task.info.id)
                && task.info.id.as_str().starts_with(&query.prefix)
                && (query.states.is_empty() || query.states.contains(&task.state))
        });
        let wanted: Vec<_> = wanted
            .map(|(task, mark)| format!("{}/{}{mark}", task.framework_id, task.info.id))
            .collect();
        prop_assert_eq!(pages(&master, &query, limit), wanted);
    }
}

#[test]
fn the_cluster_that_is_listed_has_what_can_be_asked_for() {
    let master = cluster();
    let snapshot = master.snapshot();
    assert_eq!((snapshot.tasks.len(), snapshot.completed_tasks.len()), (53, 7));
    let page = master.tasks_page(&TaskQuery::default(), None, 1);
    assert_eq!(
        (
            page.n_live,
            page.tasks[0].agent.as_ref().unwrap().hostname.as_str()
        ),
        (53, "host-0")
    );
    let query = TaskQuery {
        framework: FrameworkId::new("f-1").ok(),
        prefix: "none".to_owned(),
        ..TaskQuery::default()
    };
    assert_eq!(master.tasks_page(&query, None, 9).n_live, 13);
}

#[test]
fn a_page_of_a_large_cluster_is_bounded_in_what_it_lists_and_what_it_looks_at() {
    let mut master = empty();
    let n_tasks = MAX_TASKS_LOOKED_AT + 10;
    let tasks: Vec<String> = (0..n_tasks).map(|n| format!("f-0/t{n:06}=RUNNING")).collect();
    register(&mut master, 0, None, &tasks);
    let page = master.tasks_page(&TaskQuery::default(), None, usize::MAX);
    assert_eq!(page.tasks.len(), MAX_TASKS_PER_PAGE);
    assert_eq!(page.next.unwrap(), page.tasks.last().unwrap().cursor());
    let nothing = TaskQuery {
        states: vec![TaskState::Failed],
        ..TaskQuery::default()
    };
    let page = master.tasks_page(&nothing, None, 10);
    assert!(page.tasks.is_empty());
    let next = page.next.unwrap();
    assert_eq!(next.task.as_str(), format!("t{:06}", MAX_TASKS_LOOKED_AT - 1));
    assert_eq!(master.tasks_page(&nothing, Some(&next), 10).next, None);
}

#[test]
fn a_place_that_was_forgotten_or_never_was_is_gone_on_from_all_the_same() {
    let master = cluster();
    let place = |completed, framework: &str, task: &str| TaskCursor {
        completed,
        framework: FrameworkId::new(framework).unwrap(),
        task: TaskId::new(task).unwrap(),
    };
    let query = TaskQuery {
        completed: true,
        ..TaskQuery::default()
    };
    let n_behind = |cursor: TaskCursor| master.tasks_page(&query, Some(&cursor), 1000).tasks.len();
    assert_eq!(n_behind(place(false, "a", "b")), 60);
    assert_eq!(n_behind(place(true, "f-1", "forgotten")), 7);
    assert_eq!(n_behind(place(true, "f-2", "b")), 0);
}
