//! What is refused of executors and of tasks that have one.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

use proffer_types::{ExecutorCall, ExecutorUpdate, TaskInfo};
use proffer_wire::executor::{MAX_SUBSCRIBED_TASKS, MAX_TASK_DATA_BYTES};
use proffer_wire::text::MAX_MESSAGE_BYTES;
use proffer_wire::v1;

fn task_info() -> v1::TaskInfo {
    v1::TaskInfo {
        task_id: "t1".into(),
        agent_id: "a1".into(),
        container: Some(v1::ContainerSpec {
            command: vec!["true".into()],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn refusal(change: impl FnOnce(&mut v1::TaskInfo)) -> String {
    let mut info = task_info();
    change(&mut info);
    TaskInfo::try_from(info).unwrap_err().to_string()
}

#[test]
fn a_task_has_a_container_or_an_executor_and_data_only_for_an_executor() {
    let executor = |info: &mut v1::TaskInfo| {
        info.executor = Some(v1::ExecutorInfo {
            executor_id: "e1".into(),
            container: info.container.take(),
        });
    };
    let mut good = task_info();
    executor(&mut good);
    good.data = vec![0; MAX_TASK_DATA_BYTES];
    assert!(TaskInfo::try_from(good).is_ok());

    let both = refusal(|info| {
        executor(info);
        info.container = Some(v1::ContainerSpec::default());
    });
    assert_eq!(
        both,
        "container: is there, and so is an executor, in whose container the task would run"
    );
    let restarts = refusal(|info| {
        executor(info);
        let spec = info
            .executor
            .as_mut()
            .and_then(|executor| executor.container.as_mut());
        spec.unwrap().stdin = true;
    });
    assert_eq!(
        restarts,
        "executor.container: an executor cannot have a terminal or an input"
    );
    let much = refusal(|info| {
        executor(info);
        info.data = vec![0; MAX_TASK_DATA_BYTES + 1];
    });
    assert_eq!(much, "data: 65537 bytes, at most 65536 are allowed");
    let data = refusal(|info| info.data = vec![0]);
    assert_eq!(data, "data: is there, and no executor to have it");
}

#[test]
fn an_executor_says_only_what_is_its_to_say() {
    let update = |state: v1::TaskState, uuid: usize| {
        let update = v1::ExecutorUpdate {
            task_id: "t1".into(),
            state: state.into(),
            uuid: vec![0; uuid],
            message: "x".repeat(10_000),
        };
        ExecutorUpdate::try_from(update)
    };
    let update_of = |state| update(state, 16);
    assert_eq!(
        update_of(v1::TaskState::TaskRunning).unwrap().message.len(),
        MAX_MESSAGE_BYTES
    );
    for state in [
        v1::TaskState::TaskLost,
        v1::TaskState::TaskStaging,
        v1::TaskState::Unspecified,
    ] {
        assert!(update_of(state).is_err(), "{state:?}");
    }
    let error = update(v1::TaskState::TaskFinished, 15).unwrap_err();
    assert_eq!(error.to_string(), "uuid: has 15 bytes, not 16");
    let tasks = vec!["t".to_owned(); MAX_SUBSCRIBED_TASKS + 1];
    let call = v1::executor_call::What::Subscribe(v1::ExecutorSubscribe { task_ids: tasks });
    let error = ExecutorCall::try_from(v1::ExecutorCall { what: Some(call) }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "subscribe.task_ids: 10001 tasks, at most 10000 are allowed"
    );
}
