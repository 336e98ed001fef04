//! What Prometheus servers answer: instant queries that give one number.
//!
//! <https://prometheus.io/docs/prometheus/latest/querying/api/>. What a server sends is bounded in time and size, and read as
//! little as may be.

use std::sync::OnceLock;
use std::time::Duration;

use futures::StreamExt as _;
use proffer_sdk::Handle;
use proffer_service_core::{Query, Services};
use reqwest::{Client, Response, Url, redirect};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::debug;

/// How often each query is asked: servers scrape some times a minute.
const EVERY: Duration = Duration::from_secs(10);
/// How long an answer may take, all of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Queries that are under way at once.
const AT_ONCE: usize = 32;
/// The largest answer that is read: one number takes some hundred bytes, and its labels some more.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Asks and tells, over and over.
pub(super) async fn forever(handle: &Handle<Services>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let client = OnceLock::new();
    loop {
        ticks.tick().await;
        // Whoever cannot answer now may later; if never, we are stopped.
        let Ok(queries) = handle.call(|services, _| services.queries()).await else {
            continue;
        };
        if queries.is_empty() {
            continue;
        }
        // Made when it is first needed: it reads the host's certificates.
        let client = client.get_or_init(build);
        let asked = queries.into_iter().map(|(service, query)| async move {
            let answer = match client {
                Ok(client) => ask(client, &query).await,
                Err(why) => Err(why.clone()),
            };
            let told = handle.call(move |services, cx| services.answered(&service, &query, answer, cx.now()));
            if let Err(error) = told.await {
                debug!(%error, "an answer of Prometheus was not taken");
            }
        });
        futures::stream::iter(asked)
            .buffer_unordered(AT_ONCE)
            .collect::<()>()
            .await;
    }
}

fn build() -> Result<Client, String> {
    // Fails when it is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("proffer/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| chain(&error))
}

/// The number that a query gives, or why it gives none.
async fn ask(client: &Client, query: &Query) -> Result<f64, String> {
    let url = address(query)?;
    let answer = async {
        let response = client.get(url).send().await;
        read(response.map_err(|error| chain(&error.without_url()))?).await
    };
    match timeout(PATIENCE, answer).await {
        Ok(answer) => number(answer?),
        Err(_) => Err(format!("no answer within {PATIENCE:?}")),
    }
}

fn address(query: &Query) -> Result<Url, String> {
    let mut url: Url = query
        .url
        .parse()
        .map_err(|error| format!("the address is wrong: {error}"))?;
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(["api", "v1", "query"]);
        }
        Err(()) => return Err("the address is wrong: it has no host".to_owned()),
    }
    url.query_pairs_mut().append_pair("query", &query.promql);
    Ok(url)
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Value,
}

/// Errors are answered in the same form, with another status.
async fn read(mut response: Response) -> Result<Answer, String> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| chain(&error.without_url()))?
    {
        if bytes.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(format!("the answer has more than {MAX_ANSWER_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    let answer = serde_json::from_slice::<Answer>(&bytes);
    match answer {
        Ok(answer) if !answer.error.is_empty() => Err(answer.error),
        Ok(answer) if status.is_success() => Ok(answer),
        Err(_) if status.is_success() => Err("the answer is not that of a Prometheus server".to_owned()),
        Ok(_) | Err(_) => Err(format!("the server answers {status}")),
    }
}

/// A scalar, or the only element of an instant vector.
fn number(answer: Answer) -> Result<f64, String> {
    let Some(data) = answer.data else {
        return Err("the answer has no data".to_owned());
    };
    let sample = match (&*data.result_type, data.result) {
        ("scalar", sample) => sample,
        ("vector", Value::Array(mut series)) => match (series.len(), series.pop()) {
            (1, Some(mut one)) => one.get_mut("value").map(Value::take).unwrap_or_default(),
            (0, _) => return Err("the query gives no value".to_owned()),
            (n, _) => {
                return Err(format!(
                    "the query gives {n} values; put it in sum(), or another function that gives one"
                ));
            }
        },
        (other, _) => {
            let other: String = other.chars().take(40).collect();
            return Err(format!(
                "the query gives a {}, not one value",
                other.escape_debug()
            ));
        }
    };
    // `[time, "value"]`
    let value = sample.get(1).and_then(Value::as_str);
    let number = value.and_then(|value| value.parse().ok());
    number.ok_or_else(|| "the answer has no number".to_owned())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(of) = cause {
        text = format!("{text}: {of}");
        cause = of.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::RawQuery;
    use axum::http::StatusCode;
    use axum::response::IntoResponse as _;
    use axum::routing::get;

    /// A server that answers by what it is asked, below a path.
    async fn server() -> String {
        let answer = |RawQuery(query): RawQuery| async move {
            let data = |kind: &str, result: &str| {
                format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#)
            };
            let one = r#"{"metric":{"job":"x"},"value":[1435781451.781,"1.5e3"]}"#;
            match query
                .unwrap_or_default()
                .strip_prefix("query=")
                .unwrap_or_default()
            {
                "one%7Ba%3D%22+b%26%22%7D" => data("vector", &format!("[{one}]")).into_response(),
                "scalar" => data("scalar", r#"[1435781451.781,"-0.25"]"#).into_response(),
                "nan" => data("scalar", r#"[1435781451.781,"NaN"]"#).into_response(),
                "two" => data("vector", &format!("[{one},{one}]")).into_response(),
                "none" => data("vector", "[]").into_response(),
                "matrix" => data("matrix", "[]").into_response(),
                "odd" => data("vector", "[7]").into_response(),
                "text" => "hello".into_response(),
                "large" => "x".repeat(MAX_ANSWER_BYTES + 1).into_response(),
                "moved" => (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
                "slow" => std::future::pending().await,
                _ => {
                    let error = r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#;
                    (StatusCode::BAD_REQUEST, error).into_response()
                }
            }
        };
        let router = Router::new().route("/sub/api/v1/query", get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}/sub/")
    }

    fn query(url: &str, promql: &str) -> Query {
        Query {
            url: url.to_owned(),
            promql: promql.to_owned(),
            per_replica: false,
        }
    }

    #[tokio::test]
    async fn a_query_that_gives_one_number_gives_it_and_any_other_says_why_not() {
        let (server, client) = (server().await, build().unwrap());
        let ask = async |promql: &str| {
            let answer = ask(&client, &query(&server, promql)).await;
            answer.map_or_else(|why| why, |number| number.to_string())
        };
        for (promql, expected) in [
            (r#"one{a=" b&"}"#, "1500"),
            ("scalar", "-0.25"),
            ("nan", "NaN"),
            ("none", "the query gives no value"),
            ("matrix", "the query gives a matrix, not one value"),
            ("odd", "the answer has no number"),
            ("text", "the answer is not that of a Prometheus server"),
            ("large", "the answer has more than 1048576 bytes"),
            ("moved", "the server answers 302 Found"),
            ("wrong(", "parse error"),
        ] {
            assert_eq!(ask(promql).await, expected, "{promql}");
        }
        assert!(ask("two").await.starts_with("the query gives 2 values"));
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_does_not_answer_is_given_up() {
        let (server, client) = (server().await, build().unwrap());
        assert_eq!(
            ask(&client, &query(&server, "slow")).await,
            Err("no answer within 5s".to_owned())
        );
        let none = ask(&client, &query("http://127.0.0.1:1", "up"))
            .await
            .unwrap_err();
        assert!(none.contains("refused"), "{none}");
        for wrong in ["http://[", "http://user@:80"] {
            let why = ask(&client, &query(wrong, "up")).await.unwrap_err();
            assert!(why.starts_with("the address is wrong"), "{why}");
        }
    }
}
