//! The gRPC service `proffer.v1.Configs`: configuration and secrets, for people who set them and agents that read them.

use proffer_grpc::v1::configs_server;
use proffer_sdk::Handle;
use proffer_service_core::{Config, ConfigError, Services};
use proffer_wire::v1;
use prost::Message as _;
use tonic::{Request, Response, Status};

/// The most tasks that an agent may ask for at once.
const MAX_TASKS: usize = 1_000;
/// What goes beyond is left to the next question: one config more makes a message of 4 MiB at most.
const MAX_ANSWER_BYTES: usize = 3 << 20;

pub(crate) struct Configs {
    handle: Handle<Services>,
}

impl Configs {
    pub(crate) fn new(handle: Handle<Services>) -> Self {
        Self { handle }
    }
}

#[tonic::async_trait]
impl configs_server::Configs for Configs {
    async fn apply_config(
        &self,
        request: Request<v1::ApplyConfigRequest>,
    ) -> Result<Response<v1::ApplyConfigResponse>, Status> {
        let config = Config::from_message(request.into_inner().config).map_err(proffer_grpc::status)?;
        let applied = self.handle.call(|services, cx| services.apply_config(config, cx));
        let applied = applied.await?.map_err(|error| refuse(&error))?;
        Ok(Response::new(applied.into()))
    }

    async fn delete_config(
        &self,
        request: Request<v1::DeleteConfigRequest>,
    ) -> Result<Response<v1::DeleteConfigResponse>, Status> {
        let name = request.into_inner().name;
        let deleted = self
            .handle
            .call(move |services, cx| services.delete_config(&name, cx));
        deleted.await?.map_err(|error| refuse(&error))?;
        Ok(Response::new(v1::DeleteConfigResponse {}))
    }

    async fn list_configs(
        &self,
        _request: Request<v1::ListConfigsRequest>,
    ) -> Result<Response<v1::ListConfigsResponse>, Status> {
        let views = self.handle.call(|services, _| services.list_configs()).await?;
        let mut configs: Vec<v1::ConfigView> = views.into_iter().map(Into::into).collect();
        let mut n_bytes: usize = configs.iter().map(v1::ConfigView::encoded_len).sum();
        for config in configs.iter_mut().flat_map(|view| &mut view.config) {
            if n_bytes <= MAX_ANSWER_BYTES {
                break;
            }
            n_bytes -= config.encoded_len();
            config.entries.clear();
        }
        Ok(Response::new(v1::ListConfigsResponse { configs }))
    }

    async fn get_config(
        &self,
        request: Request<v1::GetConfigRequest>,
    ) -> Result<Response<v1::ConfigView>, Status> {
        let name = request.into_inner().name;
        let view = self.handle.call(move |services, _| services.get_config(&name));
        let view = view.await?.map_err(|error| refuse(&error))?;
        Ok(Response::new(view.into()))
    }

    async fn read_configs(
        &self,
        request: Request<v1::ReadConfigsRequest>,
    ) -> Result<Response<v1::ReadConfigsResponse>, Status> {
        let asked = request.into_inner().tasks;
        if asked.len() > MAX_TASKS {
            let problem = format!("{} tasks, at most {MAX_TASKS} are allowed", asked.len());
            return Err(Status::invalid_argument(problem));
        }
        let results = self.handle.call(move |services, _| {
            let mut n_bytes = 0;
            let one = |task: &v1::TaskConfigs| {
                let mut result = v1::TaskConfigsResult::default();
                match services.read_configs(&task.task_id, &task.token, &task.known) {
                    Ok(contents) => {
                        for content in contents {
                            if n_bytes > MAX_ANSWER_BYTES {
                                break;
                            }
                            let content = v1::ConfigContent::from(content);
                            n_bytes += content.encoded_len();
                            result.configs.push(content);
                        }
                    }
                    Err(problem) => result.problem = problem,
                }
                result
            };
            asked.iter().map(one).collect()
        });
        let tasks = results.await?;
        Ok(Response::new(v1::ReadConfigsResponse { tasks }))
    }
}

fn refuse(error: &ConfigError) -> Status {
    let message = error.to_string();
    match error {
        ConfigError::Spec(_) | ConfigError::Entries { .. } | ConfigError::Large { .. } => {
            Status::invalid_argument(message)
        }
        ConfigError::Full | ConfigError::FullBytes => Status::resource_exhausted(message),
        ConfigError::OtherKind { .. } | ConfigError::InUse { .. } | ConfigError::KeyInUse { .. } => {
            Status::failed_precondition(message)
        }
        ConfigError::NoSuch(_) | ConfigError::NoKey { .. } => Status::not_found(message),
    }
}
