//! Lists of tasks over the wire, in pieces.

use std::sync::Arc;

use proffer_store::Memory;
use proffer_wire::v1;
use tonic::Code;

use crate::harness::{framework_info, resources, start};
use crate::{launch, offer, task};

#[tokio::test]
async fn a_list_is_cut_where_it_is_asked_for_and_goes_on_from_its_token() {
    let master = start(&Arc::new(Memory::new())).await;
    let mut framework = master.framework(framework_info()).await;
    framework.subscribed().await;
    let mut agent = master.agent(resources(8.0, 4e9)).await;
    let offer = framework.next(offer).await.unwrap();
    let tasks = (0..5).map(|n| v1::TaskInfo {
        task_id: format!("t{n}"),
        ..task(&offer)
    });
    framework.call(launch(&offer, tasks.collect())).await;
    let runs = |message| matches!(message, v1::master_message::Message::RunTask(_)).then_some(());
    agent.next(runs).await.unwrap();
    let mut operator = master.operator().await;
    let ids = |request: v1::ListTasksRequest| {
        let mut operator = operator.clone();
        async move {
            let answer = operator.list_tasks(request).await?.into_inner();
            let id = |task: v1::list_tasks_response::Task| task.info.unwrap_or_default().task_id;
            let ids: Vec<String> = answer.tasks.into_iter().map(id).collect();
            Ok::<_, tonic::Status>((ids.join(" "), answer.next_page_token, answer.n_live))
        }
    };
    // As who knows nothing of pages asks.
    let whole = ids(v1::ListTasksRequest::default()).await.unwrap();
    assert_eq!(whole, ("t0 t1 t2 t3 t4".to_owned(), String::new(), 5));
    let mut request = v1::ListTasksRequest {
        limit: 2,
        ..Default::default()
    };
    for expected in ["t0 t1", "t2 t3", "t4"] {
        let (page, token, n_live) = ids(request.clone()).await.unwrap();
        assert_eq!((page.as_str(), n_live), (expected, 5));
        assert_eq!(token.is_empty(), expected == "t4");
        request.page_token = token;
    }
    let last = v1::ListTasksRequest {
        task_id_prefix: "t4".into(),
        states: vec![v1::TaskState::TaskStaging.into()],
        limit: 1,
        ..Default::default()
    };
    assert_eq!(ids(last.clone()).await.unwrap(), ("t4".into(), String::new(), 5));
    for (bad, says) in [
        (
            v1::ListTasksRequest {
                page_token: "t4".into(),
                ..Default::default()
            },
            "page_token: ",
        ),
        (
            v1::ListTasksRequest {
                states: vec![99],
                ..Default::default()
            },
            "states: ",
        ),
    ] {
        let refused = operator.list_tasks(bad).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        assert!(refused.message().starts_with(says), "{refused:?}");
    }
    master.stop().await;
}
