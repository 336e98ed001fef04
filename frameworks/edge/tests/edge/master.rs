//! A master that serves nothing but Discovery.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _};
use proffer_grpc::v1::discovery_server::{Discovery, DiscoveryServer};
use proffer_types::discovery::{DiscoveredService, ServiceName};
use proffer_types::edge_report::EdgeReport;
use proffer_wire::discovery::frames;
use proffer_wire::v1;
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::{BroadcastStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

#[derive(Debug)]
struct Told {
    services: BTreeMap<ServiceName, DiscoveredService>,
    changes: broadcast::Sender<v1::WatchResponse>,
    reports: Vec<EdgeReport>,
}

/// A master. It ends when it is dropped, and may come back at its address.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) address: SocketAddr,
    told: Arc<Mutex<Told>>,
    stop: CancellationToken,
}

impl Master {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let told = Arc::new(Mutex::new(Told {
            services: BTreeMap::new(),
            changes: broadcast::Sender::new(1024),
            reports: Vec::new(),
        }));
        let stop = CancellationToken::new();
        let service = DiscoveryServer::new(Service(Arc::clone(&told), stop.clone()));
        let server = tonic::transport::Server::builder().add_service(service);
        let incoming = TcpListenerStream::new(listener);
        let server = server.serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        tokio::spawn(async move { server.await.unwrap() });
        Self { address, told, stop }
    }

    /// Tells of a service, new or changed.
    pub(crate) fn tell(&self, service: &DiscoveredService) {
        let mut told = self.told.lock().unwrap();
        told.services.insert(service.name.clone(), service.clone());
        for frame in frames(std::slice::from_ref(service), &[], None, false) {
            // Nobody may be listening.
            let _ = told.changes.send(frame);
        }
    }

    /// A service is no more.
    pub(crate) fn remove(&self, service: &DiscoveredService) {
        let mut told = self.told.lock().unwrap();
        told.services.remove(&service.name);
        for frame in frames(&[], std::slice::from_ref(&service.name), None, false) {
            let _ = told.changes.send(frame);
        }
    }

    /// What was reported since the last call.
    pub(crate) fn reports(&self) -> Vec<EdgeReport> {
        std::mem::take(&mut self.told.lock().unwrap().reports)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Service(Arc<Mutex<Told>>, CancellationToken);

#[tonic::async_trait]
impl Discovery for Service {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, _: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let told = self.0.lock().unwrap();
        let services: Vec<DiscoveredService> = told.services.values().cloned().collect();
        let first = futures::stream::iter(frames(&services, &[], None, true));
        let changes = BroadcastStream::new(told.changes.subscribe()).map(|change| change.unwrap());
        let all = first.chain(changes).map(Ok);
        Ok(Response::new(Box::pin(
            all.take_until(self.1.clone().cancelled_owned()),
        )))
    }

    async fn report(
        &self,
        request: Request<Streaming<v1::EdgeReport>>,
    ) -> Result<Response<v1::ReportResponse>, Status> {
        let mut reports = request.into_inner();
        while let Some(Some(report)) = self.1.run_until_cancelled(reports.message()).await.transpose()? {
            let report = EdgeReport::try_from(report).map_err(proffer_grpc::status)?;
            self.0.lock().unwrap().reports.push(report);
        }
        Ok(Response::new(v1::ReportResponse {}))
    }
}
