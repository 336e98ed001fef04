//! The agent's images: listed, pulled ahead of time, pruned.

use std::time::{SystemTime, UNIX_EPOCH};

use proffer_grpc::v1::images_server;
use proffer_image::{Listed, Progress, PullError};
use proffer_types::container::{ImageSpec, PullPolicy};
use proffer_wire::v1;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tracing::info;

use super::State;

/// Progress waiting for a slow reader; what comes meanwhile replaces what nobody read.
const MAX_PROGRESS_QUEUED: usize = 1;

#[derive(Debug)]
pub(super) struct Images {
    state: State,
}

impl Images {
    pub(super) fn new(state: State) -> Self {
        Self { state }
    }
}

type Sender = mpsc::Sender<Result<v1::PullImageProgress, Status>>;

#[tonic::async_trait]
impl images_server::Images for Images {
    type PullImageStream = ReceiverStream<Result<v1::PullImageProgress, Status>>;

    async fn list_images(
        &self,
        _request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        let images = self.state.images.list().into_iter().map(listed).collect();
        Ok(Response::new(v1::ListImagesResponse { images }))
    }

    async fn pull_image(
        &self,
        request: Request<v1::PullImageRequest>,
    ) -> Result<Response<Self::PullImageStream>, Status> {
        let reference = request.into_inner().reference;
        let (sender, stream) = mpsc::channel(MAX_PROGRESS_QUEUED);
        let state = self.state.clone();
        tokio::spawn(async move {
            let end = state.end.clone();
            let pull = end.run_until_cancelled(pull(&state, reference, &sender));
            let result = tokio::select! {
                // Nobody reads any more: the pull is given up.
                () = sender.closed() => return,
                result = pull => result,
            };
            let result = result.unwrap_or_else(|| Err(Status::unavailable("the agent is stopping")));
            // The reader may be gone, which is nobody's loss.
            let _ = sender.send(result).await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn prune_images(
        &self,
        _request: Request<v1::PruneImagesRequest>,
    ) -> Result<Response<v1::PruneImagesResponse>, Status> {
        let pruned = self.state.images.prune(SystemTime::now()).await;
        let pruned = pruned.map_err(|error| Status::internal(format!("cannot prune images: {error}")))?;
        info!(
            n_images = pruned.images,
            n_layers = pruned.layers,
            bytes = pruned.bytes,
            "images pruned"
        );
        Ok(Response::new(v1::PruneImagesResponse {
            images: count(pruned.images),
            layers: count(pruned.layers),
            bytes: pruned.bytes,
        }))
    }
}

/// Pulls, and returns the last message.
async fn pull(state: &State, reference: String, sender: &Sender) -> Result<v1::PullImageProgress, Status> {
    let (newest, mut told) = watch::channel(Progress::default());
    let spec = ImageSpec {
        reference,
        pull: PullPolicy::Always,
    };
    let tell = |progress| {
        newest.send_replace(progress);
    };
    let pulling = state.images.pull(&spec, None, &tell);
    let telling = async {
        while told.changed().await.is_ok() {
            let progress = message(*told.borrow_and_update());
            if sender.send(Ok(progress)).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    let image = tokio::select! {
        image = pulling => image.map_err(|error| refused(&error))?,
        () = telling => return Err(Status::cancelled("nobody waits")),
    };
    let id = image.id.to_string();
    let last = *told.borrow();
    Ok(v1::PullImageProgress { id, ..message(last) })
}

fn refused(error: &PullError) -> Status {
    match error {
        PullError::Reference(_) => Status::invalid_argument(error.to_string()),
        PullError::Absent(_) => Status::not_found(error.to_string()),
        PullError::Io(_) => Status::internal(error.to_string()),
        PullError::Source { .. }
        | PullError::Layer { .. }
        | PullError::TooLarge { .. }
        | PullError::Unsettled(_)
        | PullError::Holder(_) => Status::failed_precondition(error.to_string()),
    }
}

fn message(progress: Progress) -> v1::PullImageProgress {
    v1::PullImageProgress {
        layers: count(progress.layers),
        layers_done: count(progress.layers_done),
        bytes: progress.bytes,
        bytes_done: progress.bytes_done,
        id: String::new(),
    }
}

fn listed(image: Listed) -> v1::Image {
    let since = image.last_used.duration_since(UNIX_EPOCH).unwrap_or_default();
    v1::Image {
        id: image.id.to_string(),
        names: image.names,
        layers: count(image.layers),
        bytes: image.bytes,
        last_used_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        containers: count(image.containers),
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
