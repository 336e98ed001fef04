//! The gRPC service `proffer.v1.Discovery`: what edges are told, and what they tell.

use std::pin::Pin;
use std::sync::Arc;

use proffer_grpc::v1::discovery_server;
use proffer_sdk::Handle;
use proffer_service_core::Services;
use proffer_types::edge_report::EdgeReport;
use proffer_wire::v1;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::hub::Hub;

/// How many frames a watcher's connection may be behind.
const QUEUED_FRAMES: usize = 4;

pub(crate) struct Discovery {
    handle: Handle<Services>,
    hub: Arc<Hub>,
}

impl Discovery {
    pub(crate) fn new(handle: Handle<Services>, hub: Arc<Hub>) -> Self {
        Self { handle, hub }
    }
}

type Frames = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl discovery_server::Discovery for Discovery {
    type WatchStream = Frames;

    async fn watch(&self, _request: Request<v1::WatchRequest>) -> Result<Response<Frames>, Status> {
        let (frames, receiver) = mpsc::channel(QUEUED_FRAMES);
        tokio::spawn(watch(self.hub.clone(), frames));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn report(
        &self,
        request: Request<Streaming<v1::EdgeReport>>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let mut reports = request.into_inner();
        while let Some(report) = reports.message().await? {
            let report = EdgeReport::try_from(report).map_err(proffer_grpc::status)?;
            let reported = self
                .handle
                .call(|services, cx| services.reported(report, cx.now()));
            reported.await?;
        }
        Ok(Response::new(v1::ReportResponse {}))
    }
}

/// Sends all there is and each change, until the watcher is gone. One that is too slow has to begin anew.
async fn watch(hub: Arc<Hub>, frames: mpsc::Sender<Result<v1::WatchResponse, Status>>) {
    let (all, mut changes) = hub.subscribe();
    for frame in all {
        if frames.send(Ok(frame)).await.is_err() {
            return;
        }
    }
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            () = frames.closed() => return,
        };
        let change = match change {
            Ok(change) => change,
            Err(RecvError::Lagged(_)) => {
                let error = Status::aborted("too slow for the changes; watch again");
                drop(frames.send(Err(error)).await);
                return;
            }
            Err(RecvError::Closed) => return,
        };
        for frame in change.iter() {
            if frames.send(Ok(frame.clone())).await.is_err() {
                return;
            }
        }
    }
}
