//! Lists of tasks, as clients ask for them: built of pages, so that a long one leaves the core free in between.

use proffer_grpc::status;
use proffer_master_core::{ListedTask, Master, TaskCursor, TaskQuery};
use proffer_wire::status::task_state;
use proffer_wire::{ConvertError, v1};
use tonic::Status;

use super::parse;
use crate::inbox::Inbox;

/// Answers a request: as many tasks as it allows, or all.
pub(super) async fn list(
    inbox: &Inbox,
    request: v1::ListTasksRequest,
) -> Result<v1::ListTasksResponse, Status> {
    let limit = match request.limit {
        0 => usize::MAX,
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let mut after = match request.page_token.as_str() {
        "" => None,
        token => Some(cursor(token).map_err(status)?),
    };
    let query = query(request).map_err(status)?;
    let mut tasks: Vec<v1::list_tasks_response::Task> = Vec::new();
    let mut last = None;
    loop {
        let (query, from) = (query.clone(), after.take());
        // One more than is wanted tells whether there is more.
        let n_missing = limit.saturating_sub(tasks.len()).saturating_add(1);
        let look = move |master: &Master| master.tasks_page(&query, from.as_ref(), n_missing);
        let page = inbox.read(look).await?;
        let n_live = u64::try_from(page.n_live).unwrap_or(u64::MAX);
        for task in page.tasks {
            if tasks.len() == limit {
                return Ok(v1::ListTasksResponse {
                    tasks,
                    next_page_token: last.map(|cursor| token(&cursor)).unwrap_or_default(),
                    n_live,
                });
            }
            last = Some(task.cursor());
            tasks.push(message(&task));
        }
        after = page.next;
        if after.is_none() {
            return Ok(v1::ListTasksResponse {
                tasks,
                next_page_token: String::new(),
                n_live,
            });
        }
    }
}

fn query(request: v1::ListTasksRequest) -> Result<TaskQuery, ConvertError> {
    let states = request.states.iter().map(|state| task_state("states", *state));
    Ok(TaskQuery {
        framework: optional("framework_id", &request.framework_id)?,
        agent: optional("agent_id", &request.agent_id)?,
        task: optional("task_id", &request.task_id)?,
        prefix: request.task_id_prefix,
        states: states.collect::<Result<_, _>>()?,
        completed: request.include_completed,
    })
}

fn optional<T>(field: &str, text: &str) -> Result<Option<T>, ConvertError>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    match text {
        "" => Ok(None),
        text => parse(field, text).map(Some),
    }
}

/// A task of a list. One whose agent or framework is gone has those fields empty.
fn message(task: &ListedTask) -> v1::list_tasks_response::Task {
    let view = &task.view;
    let agent = task.agent.as_ref();
    v1::list_tasks_response::Task {
        framework_id: view.framework_id.to_string(),
        framework_name: task.framework_name.clone().unwrap_or_default(),
        info: Some((&*view.info).into()),
        state: v1::TaskState::from(view.state).into(),
        latest_status: Some((&view.status).into()),
        agent_hostname: agent.map(|info| info.hostname.clone()).unwrap_or_default(),
        agent_address: agent.map(|info| info.address.clone()).unwrap_or_default(),
        role: view.role.to_string(),
    }
}

/// `live/FRAMEWORK/TASK`, or `ended/..`: ids have no slashes.
fn token(cursor: &TaskCursor) -> String {
    let kind = if cursor.completed { "ended" } else { "live" };
    format!("{kind}/{}/{}", cursor.framework, cursor.task)
}

fn cursor(token: &str) -> Result<TaskCursor, ConvertError> {
    let refuse = || ConvertError::new("page_token", "is not from an earlier answer");
    let (kind, rest) = token.split_once('/').ok_or_else(refuse)?;
    let (framework, task) = rest.split_once('/').ok_or_else(refuse)?;
    Ok(TaskCursor {
        completed: match kind {
            "live" => false,
            "ended" => true,
            _ => return Err(refuse()),
        },
        framework: parse("page_token", framework)?,
        task: parse("page_token", task)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_a_place_and_what_is_none_is_refused() {
        for text in ["live/f-1/t", "ended/f/t.0_a"] {
            assert_eq!(token(&cursor(text).unwrap()), text);
        }
        for text in [
            "x",
            "live",
            "live/f",
            "both/f/t",
            "live/f/t/u",
            "live//t",
            "live/f/",
        ] {
            assert!(cursor(text).is_err(), "{text}");
        }
    }
}
