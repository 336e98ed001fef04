//! Running a template with values.

use proffer_batch_core::{Batch, Dispatch, DispatchError};
use proffer_sdk::Handle;
use proffer_wire::v1;
use tonic::{Response, Status};

use super::{not_found, refuse};
use crate::convert;

/// Dispatches what a client names.
pub(super) async fn dispatch(
    handle: &Handle<Batch>,
    request: v1::DispatchJobRequest,
) -> Result<Response<v1::DispatchJobResponse>, Status> {
    let v1::DispatchJobRequest {
        name,
        values,
        payload,
        token,
        priority,
        user,
    } = request;
    let given = Dispatch {
        token,
        values,
        payload,
    };
    let user = (!user.is_empty()).then_some(user);
    let dispatched = handle
        .call(move |batch, cx| batch.dispatch(&name, given, priority, user, cx))
        .await?;
    let dispatched = dispatched.map_err(|error| not_dispatched(&error))?;
    Ok(Response::new(v1::DispatchJobResponse {
        run: dispatched.run,
        n_tasks: convert::count(dispatched.n_instances),
        existed: dispatched.existed,
    }))
}

fn not_dispatched(error: &DispatchError) -> Status {
    let message = error.to_string();
    match error {
        DispatchError::NoSuchJob(error) => not_found(error),
        DispatchError::NoTemplate(_) | DispatchError::Cancelled(_) => Status::failed_precondition(message),
        DispatchError::Value(_) => Status::invalid_argument(message),
        DispatchError::Taken(_) => Status::already_exists(message),
        DispatchError::Refused(error) => refuse(error),
    }
}
