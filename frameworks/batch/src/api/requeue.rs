//! Running again what has ended.

use proffer_batch_core::{Batch, Requeue, RequeueError};
use proffer_sdk::Handle;
use proffer_wire::v1;
use tonic::{Response, Status};

/// Requeues what a client names.
pub(super) async fn requeue(
    handle: &Handle<Batch>,
    request: v1::RequeueJobRequest,
) -> Result<Response<v1::RequeueJobResponse>, Status> {
    let v1::RequeueJobRequest {
        name,
        task,
        index,
        all,
        after,
    } = request;
    let which = Requeue {
        task: (!task.is_empty()).then_some(task),
        index,
        all,
        after: after.map(|place| (place.task, place.index)),
    };
    let requeued = handle
        .call(move |batch, cx| batch.requeue(&name, &which, cx))
        .await?;
    let requeued = requeued.map_err(|error| refuse(&error))?;
    Ok(Response::new(v1::RequeueJobResponse {
        n: requeued.n,
        last: requeued
            .last
            .map(|(task, index)| v1::JobTaskPlace { task, index }),
    }))
}

fn refuse(error: &RequeueError) -> Status {
    let message = error.to_string();
    match error {
        RequeueError::NoSuchJob(_) | RequeueError::NoSuchTask { .. } => Status::not_found(message),
        RequeueError::Recurring(_)
        | RequeueError::Template(_)
        | RequeueError::AtMostOnce(_)
        | RequeueError::Expired(_)
        | RequeueError::Nothing(_) => Status::failed_precondition(message),
        RequeueError::NoRoom(_) => Status::resource_exhausted(message),
    }
}
