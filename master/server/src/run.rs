//! A master from start to end.

use std::sync::Arc;

use proffer_grpc::net::check_listen;
use proffer_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::agent_link::AgentLinks;
use crate::clock::Clock;
use crate::config::{Config, NewAllocator};
use crate::forward::{Forwarder, Services};
use crate::http::Pages;
use crate::inbox::Inbox;
use crate::lead::Lead;
use crate::links::Links;
use crate::metrics::Metrics;
use crate::operator::OperatorApi;
use crate::readiness::Readiness;
use crate::scheduler_link::SchedulerLinks;
use crate::{MasterError, routes, serve};

/// Runs a master until the shutdown is asked for. Fails when it cannot listen, when the store cannot be used at
/// the start, or when another master has taken the store over.
pub async fn run(
    config: Config,
    new_allocator: NewAllocator,
    store: Arc<dyn Store>,
    shutdown: CancellationToken,
) -> Result<(), MasterError> {
    check_listen(config.listen, config.insecure_listen)?;
    if !config.listen.ip().is_loopback() {
        warn!(listen = %config.listen, "listening without authentication: whoever connects can run commands");
    }
    let bind = |source| MasterError::Bind {
        address: config.listen,
        source,
    };
    let listener = TcpListener::bind(config.listen).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;

    let clock = Clock::start();
    let (reporter, health) = tonic_health::server::health_reporter();
    let readiness = Readiness::new(reporter);
    let (inbox, inputs) = Inbox::new(readiness.clone());
    let (links, services, metrics) = (Links::default(), Services::default(), Metrics::new());
    let router = routes::router(
        AgentLinks {
            inbox: inbox.clone(),
            links: links.clone(),
        },
        SchedulerLinks {
            inbox: inbox.clone(),
            links: links.clone(),
        },
        OperatorApi {
            inbox: inbox.clone(),
            store: store.clone(),
            store_name: config.store_name,
            clock,
        },
        health,
        Pages {
            inbox,
            metrics: metrics.clone(),
            readiness: readiness.clone(),
            clock,
        },
        Forwarder::new(services.clone(), readiness.clone()),
    )?;
    info!(%address, "master listening");
    if let Some(listening) = config.listening {
        // Whoever asked may have stopped waiting.
        let _ = listening.send(address);
    }

    // The end of either ends the other.
    let ending = shutdown.child_token();
    let lead = Lead {
        config: config.core,
        new_allocator,
        store: &*store,
        inputs,
        links,
        services,
        metrics,
        readiness,
        clock,
        shutdown: ending.clone(),
        standing: config.election,
        leadership: None,
    };
    let lead = async {
        let result = lead.run().await;
        ending.cancel();
        result
    };
    let served = serve::serve(listener, router, ending.clone());
    let served = async {
        let result = served.await;
        ending.cancel();
        result.map_err(bind)
    };
    let (result, served) = tokio::join!(lead, served);
    info!("master stopped");
    result.and(served)
}
