//! The API over a running driver, without a master: jobs are taken in all the same.

use std::sync::Arc;

use proffer_grpc::v1::jobs_server::Jobs as _;
use proffer_sdk::store::{Fault, Memory};
use proffer_sdk::{CancellationToken, Config, Driver};
use prost::Message as _;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::*;

fn start(store: Arc<Memory>) -> (Api, CancellationToken) {
    let nobody = Config::new(vec!["127.0.0.1:1".to_owned()], "batch");
    let driver = Driver::new(nobody, store, Batch::new());
    let api = Api::new(driver.handle());
    let shutdown = CancellationToken::new();
    tokio::spawn(driver.run(shutdown.clone()));
    (api, shutdown)
}

fn job(name: &str, cpus: f64, after: &[&str]) -> Request<v1::SubmitJobRequest> {
    let scalar = |name: &str, value| v1::Resource {
        name: name.to_owned(),
        value: Some(v1::resource::Value::Scalar(value)),
        ..Default::default()
    };
    let task = v1::JobTask {
        name: "a".to_owned(),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        resources: Some(v1::Resources {
            items: vec![scalar("cpus", cpus), scalar("mem", 1024.0)],
        }),
        container: Some(v1::ContainerSpec {
            command: vec!["true".to_owned()],
            ..Default::default()
        }),
        ..Default::default()
    };
    let spec = v1::JobSpec {
        name: name.to_owned(),
        tasks: vec![task],
        ..Default::default()
    };
    Request::new(v1::SubmitJobRequest { spec: Some(spec) })
}

fn get(name: &str) -> Request<v1::GetJobRequest> {
    let name = name.to_owned();
    Request::new(v1::GetJobRequest {
        name,
        ..Default::default()
    })
}

async fn refused(api: &Api, job: Request<v1::SubmitJobRequest>) -> (Code, String) {
    let status = api.submit_job(job).await.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn each_mistake_has_its_code_and_changes_nothing() {
    let store = Arc::new(Memory::new());
    let (api, shutdown) = start(store.clone());
    let (code, message) = refused(&api, job("J", f64::NAN, &[])).await;
    assert_eq!(code, Code::InvalidArgument);
    assert_eq!(message, "spec.tasks[0].resources.cpus: NaN is not a quantity");
    let with = |change: fn(&mut v1::JobTask)| {
        let mut job = job("J", 1.0, &[]);
        change(&mut job.get_mut().spec.as_mut().unwrap().tasks[0]);
        job
    };
    let low = with(|task| task.limits.get_or_insert_default().cpus = Some(0.5));
    let message = refused(&api, low).await.1;
    assert_eq!(
        message,
        "spec.tasks[0].limits.cpus: 0.5 is less than the 1 that the task asks for"
    );
    let none = with(|task| task.rules.get_or_insert_default().max_per_agent = Some(0));
    let message = refused(&api, none).await.1;
    assert_eq!(
        message,
        "spec.tasks[0].rules.max_per_agent: is 0: no agent could run a task"
    );
    assert_eq!(
        refused(&api, job("J", 1.0, &["a"])).await.0,
        Code::InvalidArgument
    );
    assert_eq!(refused(&api, job("a/b", 1.0, &[])).await.0, Code::InvalidArgument);
    assert_eq!(api.get_job(get("J")).await.unwrap_err().code(), Code::NotFound);

    store.fail_commit(1, Fault::Before);
    assert_eq!(refused(&api, job("J", 1.0, &[])).await.0, Code::Unavailable);
    api.submit_job(job("J", 1.0, &[])).await.unwrap();
    assert_eq!(refused(&api, job("J", 1.0, &[])).await.0, Code::AlreadyExists);
    let list = api
        .list_jobs(Request::new(v1::ListJobsRequest::default()))
        .await
        .unwrap();
    assert_eq!(list.into_inner().jobs.len(), 1);
    shutdown.cancel();
}

#[tokio::test]
async fn a_template_is_told_apart_and_what_is_dispatched_is_a_job() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    let mut template = job("J", 1.0, &[]);
    let spec = template.get_mut().spec.as_mut().unwrap();
    spec.template = Some(v1::JobTemplate {
        parameters: [("x".to_owned(), v1::JobParameter::default())].into(),
        ..Default::default()
    });
    let mut run = job("K", 1.0, &[]);
    run.get_mut().spec.as_mut().unwrap().dispatch = Some(v1::JobDispatch::default());
    assert_eq!(refused(&api, run).await.0, Code::InvalidArgument);
    api.submit_job(template).await.unwrap();
    let dispatch = async |name: &str, key: &str, token: &str| {
        let request = v1::DispatchJobRequest {
            name: name.to_owned(),
            values: [(key.to_owned(), "1".to_owned())].into(),
            token: token.to_owned(),
            priority: Some(5),
            ..Default::default()
        };
        let answer = api.dispatch_job(Request::new(request)).await;
        let answer = answer.map_err(|status| status.code())?.into_inner();
        Ok((answer.run, answer.existed))
    };
    assert_eq!(dispatch("J", "x", "a").await, Ok(("J@a".to_owned(), false)));
    assert_eq!(dispatch("J", "x", "a").await, Ok(("J@a".to_owned(), true)));
    assert_eq!(dispatch("K", "x", "a").await, Err(Code::NotFound));
    assert_eq!(dispatch("J", "y", "b").await, Err(Code::InvalidArgument));
    assert_eq!(dispatch("J@a", "x", "b").await, Err(Code::FailedPrecondition));
    let seen = api.get_job(get("J")).await.unwrap().into_inner();
    assert_eq!(seen.state(), v1::JobState::JobParameterised);
    assert_eq!((seen.runs.len(), &seen.runs[0].name[..]), (1, "J@a"));
    let list = api.list_jobs(Request::new(v1::ListJobsRequest::default())).await;
    let states: Vec<_> = list
        .unwrap()
        .into_inner()
        .jobs
        .iter()
        .map(|job| job.state())
        .collect();
    assert_eq!(states, [v1::JobState::JobParameterised, v1::JobState::JobPending]);
    let mut brief = get("J@a");
    brief.get_mut().brief = true;
    let run = api.get_job(brief).await.unwrap().into_inner().spec.unwrap();
    assert_eq!(
        (&run.name[..], &run.dispatch.unwrap().values["x"][..]),
        ("J@a", "1")
    );
    shutdown.cancel();
}

#[tokio::test]
async fn jobs_are_listed_by_their_labels() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    for (name, team) in [("J", "x"), ("K", "y")] {
        let mut job = job(name, 1.0, &[]);
        let spec = job.get_mut().spec.as_mut().unwrap();
        spec.labels = [("team".to_owned(), team.to_owned())].into();
        // Recurring ones too.
        spec.schedule = (name == "K").then(|| v1::JobSchedule {
            when: Some(v1::job_schedule::When::Interval(v1::JobInterval {
                interval_ms: 3_600_000,
                start_ms: 0,
            })),
            ..Default::default()
        });
        api.submit_job(job).await.unwrap();
    }
    let list = async |operator: v1::JobLabelOperator, value: &str| {
        let condition = v1::JobLabelCondition {
            key: "team".to_owned(),
            operator: operator.into(),
            value: value.to_owned(),
        };
        let labels = vec![condition];
        let list = api.list_jobs(Request::new(v1::ListJobsRequest { labels })).await;
        list.map(|list| {
            let jobs = list.into_inner().jobs.into_iter();
            jobs.map(|job| job.name)
                .filter(|name| !name.contains('@'))
                .collect::<Vec<_>>()
        })
    };
    use v1::JobLabelOperator as Is;
    assert_eq!(list(Is::JobLabelEquals, "x").await.unwrap(), ["J"]);
    assert_eq!(list(Is::JobLabelDiffers, "x").await.unwrap(), ["K"]);
    assert_eq!(list(Is::JobLabelExists, "").await.unwrap().len(), 2);
    assert!(list(Is::JobLabelAbsent, "").await.unwrap().is_empty());
    let status = list(Is::Unspecified, "").await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::InvalidArgument, "labels[0].operator: is missing")
    );
    shutdown.cancel();
}

#[tokio::test]
async fn watching_shows_the_job_now_and_after_each_change_until_it_has_ended() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    api.submit_job(job("J", 1.0, &[])).await.unwrap();
    let mut views = api.watch_job(get("J")).await.unwrap().into_inner();
    let first = views.next().await.unwrap().unwrap();
    assert_eq!(first.state(), v1::JobState::JobPending);
    let name = "J".to_owned();
    api.cancel_job(Request::new(v1::CancelJobRequest {
        name,
        ..Default::default()
    }))
    .await
    .unwrap();
    let last = views.next().await.unwrap().unwrap();
    assert_eq!(last.state(), v1::JobState::JobCancelled);
    assert!(last.ended_ms > 0);
    assert!(views.next().await.is_none());
    shutdown.cancel();
}

#[tokio::test]
async fn a_job_too_large_for_a_message_is_shown_in_part() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    let mut large = job("J", 1.0, &[]);
    let name = "n".repeat(63);
    if let Some(spec) = &mut large.get_mut().spec {
        spec.tasks[0].name = name;
        spec.tasks[0].count = 100_000;
    }
    api.submit_job(large).await.unwrap();
    let mut request = get("J");
    request.get_mut().limit = u32::MAX;
    let job = api.get_job(request).await.unwrap().into_inner();
    let size = prost::Message::encoded_len(&job);
    assert!((3 << 20..=4 << 20).contains(&size), "{size}");
    shutdown.cancel();
}

#[tokio::test]
async fn of_a_large_job_the_counts_are_shown_and_the_indexes_that_are_asked_for() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    let mut large = job("J", 1.0, &[]);
    if let Some(spec) = &mut large.get_mut().spec {
        spec.tasks[0].count = 1_000_000;
    }
    api.submit_job(large).await.unwrap();
    let shown = async |request: v1::GetJobRequest| {
        let name = "J".to_owned();
        let request = Request::new(v1::GetJobRequest { name, ..request });
        let job = api.get_job(request).await.unwrap().into_inner();
        assert_eq!(job.counts[0].waiting, 1_000_000);
        job.tasks.iter().map(|task| task.index).collect::<Vec<_>>()
    };
    let all = v1::GetJobRequest::default;
    assert_eq!(shown(all()).await, (0..1000).collect::<Vec<_>>());
    let none: Vec<u32> = Vec::new();
    // Of nothing, and of a later version.
    for state in [v1::JobTaskState::JobTaskRunning.into(), 99] {
        let states = vec![state];
        assert_eq!(shown(v1::GetJobRequest { states, ..all() }).await, none);
    }
    let behind = |task: &str, index| {
        let task = task.to_owned();
        v1::GetJobRequest {
            after: Some(v1::JobTaskPlace { task, index }),
            limit: 2,
            ..all()
        }
    };
    assert_eq!(shown(behind("a", 7)).await, [8, 9]);
    assert_eq!(shown(behind("a", 999_998)).await, [999_999]);
    assert_eq!(shown(behind("a", u32::MAX)).await, none);
    assert_eq!(shown(behind("x", 0)).await, none);
    shutdown.cancel();
}

#[tokio::test]
async fn a_check_says_what_would_be_asked_for_and_takes_nothing_in() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    let checked = api.check_job(job("J", 1.0, &[])).await.unwrap().into_inner();
    let shapes = checked.demand.unwrap().shapes;
    let asked: Vec<_> = shapes.iter().map(|shape| (shape.shape_id, shape.count)).collect();
    assert_eq!((checked.n_tasks, asked), (1, vec![(0, 1)]));
    assert_eq!(api.get_job(get("J")).await.unwrap_err().code(), Code::NotFound);
    let cycle = api.check_job(job("J", 1.0, &["a"])).await.unwrap_err();
    assert_eq!(cycle.code(), Code::InvalidArgument);
    shutdown.cancel();
}

#[tokio::test]
async fn of_a_job_whose_spec_is_larger_than_other_messages_the_indexes_are_shown() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    let mut large = job("J", 1.0, &[]);
    if let Some(spec) = &mut large.get_mut().spec {
        let mut task = spec.tasks[0].clone();
        let container = task.container.get_or_insert_default();
        container.command = vec!["x".repeat(60 << 10)];
        let named = |n: u32| v1::JobTask {
            name: format!("t{n}"),
            ..task.clone()
        };
        spec.tasks = (0..100).map(named).collect();
    }
    api.submit_job(large).await.unwrap();
    let whole = api.get_job(get("J")).await.unwrap().into_inner();
    assert!(whole.encoded_len() > 100 * (60 << 10));
    assert_eq!(whole.tasks.len(), 100);
    let mut request = get("J");
    request.get_mut().brief = true;
    let brief = api.get_job(request).await.unwrap().into_inner();
    assert!(brief.encoded_len() < 20 << 10);
    assert_eq!(brief.tasks, whole.tasks);
    let names = |job: &v1::Job| {
        job.spec
            .iter()
            .flat_map(|spec| &spec.tasks)
            .map(|task| task.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&brief), names(&whole));
    shutdown.cancel();
}

#[tokio::test]
async fn a_report_is_of_a_job_there_is_or_of_all() {
    let (api, shutdown) = start(Arc::new(Memory::new()));
    api.submit_job(job("J", 1.0, &[])).await.unwrap();
    let report = async |name: &str, by: i32| {
        let name = name.to_owned();
        let request = v1::ReportJobsRequest {
            name,
            by,
            ..Default::default()
        };
        let answer = api.report_jobs(Request::new(request)).await;
        answer.map(|answer| answer.into_inner().rows)
    };
    let job = &report("", 0).await.unwrap()[0];
    assert_eq!((job.name.as_str(), job.role.as_str()), ("J", "*"));
    assert_eq!(job.state(), v1::JobState::JobPending);
    assert_eq!(report("J", 0).await.unwrap()[0].name, "a");
    let by_user = v1::JobReportBy::User.into();
    assert_eq!(report("", by_user).await.unwrap(), [], "nothing has ended");
    assert_eq!(report("K", 0).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(report("", 99).await.unwrap_err().code(), Code::InvalidArgument);
    shutdown.cancel();
}
