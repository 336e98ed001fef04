//! What an agent reads, from a framework that says it in parts.

use proffer_grpc::v1::configs_server::{self, ConfigsServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::*;

/// Has three configs, and says one at a time to whoever has the token.
struct Framework;

fn unasked<T>() -> Result<Response<T>, Status> {
    Err(Status::unimplemented("nobody asks"))
}

#[tonic::async_trait]
impl configs_server::Configs for Framework {
    async fn apply_config(
        &self,
        _request: Request<v1::ApplyConfigRequest>,
    ) -> Result<Response<v1::ApplyConfigResponse>, Status> {
        unasked()
    }

    async fn delete_config(
        &self,
        _request: Request<v1::DeleteConfigRequest>,
    ) -> Result<Response<v1::DeleteConfigResponse>, Status> {
        unasked()
    }

    async fn list_configs(
        &self,
        _request: Request<v1::ListConfigsRequest>,
    ) -> Result<Response<v1::ListConfigsResponse>, Status> {
        unasked()
    }

    async fn get_config(
        &self,
        _request: Request<v1::GetConfigRequest>,
    ) -> Result<Response<v1::ConfigView>, Status> {
        unasked()
    }

    async fn read_configs(
        &self,
        request: Request<v1::ReadConfigsRequest>,
    ) -> Result<Response<v1::ReadConfigsResponse>, Status> {
        let results = request.into_inner().tasks.into_iter().map(|task| {
            let unknown = ["a", "b", "c"]
                .into_iter()
                .find(|name| !task.known.contains_key(*name));
            let next = unknown.map(|name| v1::ConfigContent {
                name: name.to_owned(),
                revision: 7,
                entries: BTreeMap::from([("key".to_owned(), name.into())]),
            });
            let problem = if task.token == "right" { "" } else { "no such task" };
            v1::TaskConfigsResult {
                configs: next.into_iter().collect(),
                problem: problem.to_owned(),
            }
        });
        let tasks = results.collect();
        Ok(Response::new(v1::ReadConfigsResponse { tasks }))
    }
}

#[tokio::test]
async fn configs_are_read_in_parts_until_all_are_known() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = Server::builder().add_service(ConfigsServer::new(Framework));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let configs = Configs::new(Masters::new(vec![address]), PathBuf::from("/dev/shm/never-made"));
    let (task, (progress, _said)) = (TaskId::new("web.0.1").unwrap(), Progress::new());
    let found = configs.read(&task, "right", &progress).await.unwrap();
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let error = configs.read(&task, "wrong", &progress).await.err();
    assert_eq!(error.as_deref(), Some("its configs cannot be read: no such task"));
}

#[test]
fn single_variables_go_before_those_of_all_keys_and_the_tasks_own_before_both() {
    let entries = [("A", "1"), ("B", "2"), ("not.one", "3")];
    let entries = entries.map(|(key, value)| (key.to_owned(), value.into()));
    let content = Content {
        revision: 1,
        entries: entries.into(),
    };
    let contents = BTreeMap::from([("app".to_owned(), content)]);
    let one = ConfigVariables::One {
        config: "app".to_owned(),
        key: "A".to_owned(),
        variable: "X_B".to_owned(),
    };
    let all = ConfigVariables::All {
        config: "app".to_owned(),
        prefix: "X_".to_owned(),
    };
    let spec = ContainerSpec {
        env: BTreeMap::from([("X_A".to_owned(), "own".to_owned())]),
        config_env: vec![one, all],
        ..ContainerSpec::default()
    };
    let found = variables(&spec, &contents).unwrap();
    assert_eq!(found, BTreeMap::from([("X_B".to_owned(), "1".to_owned())]));

    let binary = BTreeMap::from([("A".to_owned(), vec![0xff]), ("B".to_owned(), Vec::new())]);
    let content = Content {
        revision: 2,
        entries: binary,
    };
    let error = variables(&spec, &BTreeMap::from([("app".to_owned(), content)])).unwrap_err();
    assert!(error.contains("no UTF-8 text"), "{error}");
}
