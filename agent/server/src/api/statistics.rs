//! What the kernel counts for tasks that run, read when somebody asks.

use std::sync::Arc;
use std::time::Duration;

use proffer_agent_core::TaskKey;
use proffer_grpc::v1::stats_server::Stats;
use proffer_types::{FrameworkId, Statistics, TaskId};
use proffer_wire::v1::{GetStatisticsRequest, StatisticsReading, TaskStatistics, WatchStatisticsRequest};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::containers::Containers;
use crate::shared::Shared;

/// The shortest interval: a reading opens some ten files a task.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);

/// Readers that watch at once, for the same reason: operators and their collectors, not clients of tasks.
const MAX_WATCHERS: usize = 32;

/// Reads what is counted.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    shared: Arc<Shared>,
    containers: Containers,
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, containers: Containers) -> Self {
        Self { shared, containers }
    }

    /// Of all tasks that run.
    pub(super) async fn all(&self) -> Vec<(TaskKey, Statistics)> {
        self.containers.statistics(self.shared.containers()).await
    }

    async fn read(&self, of: Option<&TaskKey>) -> Result<StatisticsReading, Status> {
        let read = match of {
            None => self.all().await,
            Some(key) => {
                let none = || Status::not_found(format!("no task {key} runs on this agent"));
                let container_id = self.shared.container(key).ok_or_else(none)?;
                let read = self
                    .containers
                    .statistics(vec![(key.clone(), container_id)])
                    .await;
                if read.is_empty() {
                    return Err(none());
                }
                read
            }
        };
        let tasks = read.into_iter().map(|(key, statistics)| TaskStatistics {
            framework_id: key.framework_id.to_string(),
            task_id: key.task_id.to_string(),
            statistics: Some(statistics.into()),
        });
        Ok(StatisticsReading {
            tasks: tasks.collect(),
        })
    }
}

/// The gRPC service.
#[derive(Debug)]
pub(super) struct Service {
    reader: Reader,
    watchers: Arc<Semaphore>,
    end: CancellationToken,
}

impl Service {
    pub(super) fn new(reader: Reader, end: CancellationToken) -> Self {
        Self {
            reader,
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            end,
        }
    }
}

type Readings = mpsc::Sender<Result<StatisticsReading, Status>>;

#[tonic::async_trait]
impl Stats for Service {
    type WatchStatisticsStream = ReceiverStream<Result<StatisticsReading, Status>>;

    async fn get_statistics(
        &self,
        request: Request<GetStatisticsRequest>,
    ) -> Result<Response<StatisticsReading>, Status> {
        let GetStatisticsRequest {
            framework_id,
            task_id,
        } = request.into_inner();
        let key = key(&framework_id, &task_id)?;
        self.reader.read(key.as_ref()).await.map(Response::new)
    }

    async fn watch_statistics(
        &self,
        request: Request<WatchStatisticsRequest>,
    ) -> Result<Response<Self::WatchStatisticsStream>, Status> {
        let request = request.into_inner();
        let key = key(&request.framework_id, &request.task_id)?;
        let interval = match request.interval_ms {
            0 => DEFAULT_INTERVAL,
            ms => Duration::from_millis(ms.into()),
        };
        if interval < MIN_INTERVAL {
            let problem = format!("interval_ms: at least {}", MIN_INTERVAL.as_millis());
            return Err(Status::invalid_argument(problem));
        }
        let permit = Arc::clone(&self.watchers)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted(format!("{MAX_WATCHERS} readers watch already")))?;
        let (readings, stream) = mpsc::channel(1);
        let (reader, end) = (self.reader.clone(), self.end.clone());
        tokio::spawn(async move {
            let watch = watch(&reader, key.as_ref(), interval, &readings, permit);
            if end.run_until_cancelled(watch).await.is_none() {
                // The reader may be gone, which is why the stream ends.
                let _ = readings
                    .send(Err(Status::unavailable("the agent is stopping")))
                    .await;
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// Until the reader goes, or the task that is watched.
async fn watch(
    reader: &Reader,
    of: Option<&TaskKey>,
    interval: Duration,
    readings: &Readings,
    _permit: OwnedSemaphorePermit,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let reading = reader.read(of).await;
        let is_over = reading.is_err();
        if readings.send(reading).await.is_err() || is_over {
            return;
        }
    }
}

/// The task that is asked for; none for all.
fn key(framework_id: &str, task_id: &str) -> Result<Option<TaskKey>, Status> {
    if framework_id.is_empty() && task_id.is_empty() {
        return Ok(None);
    }
    let refuse =
        |field: &str, error: &dyn std::fmt::Display| Status::invalid_argument(format!("{field}: {error}"));
    Ok(Some(TaskKey {
        framework_id: FrameworkId::new(framework_id).map_err(|error| refuse("framework_id", &error))?,
        task_id: TaskId::new(task_id).map_err(|error| refuse("task_id", &error))?,
    }))
}
