//! A real web server as a service, and load on it: nginx, and wrk.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};

use crate::{signal, text};

/// Longer than any test: load is ended by who makes it.
const LONG: &str = "-d600s";
/// Seconds in which an answer must have come.
const TIMEOUT: &str = "--timeout=25s";

/// The first of these programs that is not there.
#[must_use]
pub fn missing<'a>(programs: &[&'a str]) -> Option<&'a str> {
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let is_there = |program: &&str| {
        path.split(':')
            .any(|dir| fs::metadata(format!("{dir}/{program}")).is_ok())
    };
    programs.iter().copied().find(|program| !is_there(program))
}

/// A port of loopback that is free now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A question of DNS for the IPv4 addresses of a name, with the id 7.
pub fn dns_question(name: &str) -> Result<Vec<u8>> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len())?);
        question.extend(label.as_bytes());
    }
    question.extend([0, 0, 1, 0, 1]);
    Ok(question)
}

/// The configuration of one process of nginx in the foreground, with what stands in its `http`.
#[must_use]
pub fn nginx(http: &str) -> String {
    format!(
        "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {{ worker_connections 4096; }}\nhttp {{ access_log \
         off; keepalive_requests 1000000; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; \
         scgi_temp_path t; {http} }}\n"
    )
}

/// A service file: nginx, which answers with a text in which the task's variables are filled in. `fields` are lines of the
/// service beside its name and task.
#[must_use]
pub fn service(name: &str, fields: &str, answer: &str) -> String {
    let config = nginx("server { listen PORT; location / { return 200 \"ANSWER\"; } }");
    let config = config
        .replace('\n', "%0A")
        .replace(' ', "%20")
        .replace('"', "%22");
    format!(
        "name: {name}\n{fields}task:\n  cpus: 0.1\n  mem: 64MiB\n  ports: [{{ name: http }}]\n  fetch: [{{ uri: \"data:,{config}\", \
         destination: nginx.conf }}]\n  command: [sh, -c, \"sed -e s/PORT/$PROFFER_PORT_HTTP/ -e s/ANSWER/{answer}/ nginx.conf > conf && \
         exec nginx -e stderr -p $PWD -c $PWD/conf\"]\n  readiness: {{ http: {{ port: http, path: / }}, interval: 200ms }}\n"
    )
}

/// The processes of nginx that belong to tasks whose ids begin so. Names of services are unique on the machine.
pub fn processes(task: &str) -> Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let is_nginx = fs::read_to_string(entry.path().join("comm")).is_ok_and(|comm| comm.trim() == "nginx");
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        let is_its = environment.split(|byte| *byte == 0).any(|line| {
            let line = String::from_utf8_lossy(line);
            let id = line.strip_prefix("PROFFER_TASK_ID=");
            id.is_some_and(|id| id.starts_with(task))
        });
        if is_nginx && is_its {
            found.push(pid);
        }
    }
    Ok(found)
}

/// `wrk` with eight connections, until it is asked what came of it.
#[derive(Debug)]
pub struct Load(Child);

impl Load {
    /// On a URL, by a command that runs `wrk` with further arguments.
    pub fn start(mut wrk: Command, url: &str) -> Result<Self> {
        wrk.args(["-t1", "-c8", LONG, TIMEOUT, url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Self(wrk.spawn().context("cannot start wrk")?))
    }

    /// Ends it, and checks that none of many requests failed.
    pub fn end(self) -> Result<()> {
        signal(self.0.id(), "INT")?;
        let output = self.0.wait_with_output()?;
        let told = text(&output.stdout);
        let requests = told
            .lines()
            .find_map(|line| line.trim().split_once(" requests in "));
        let requests = requests.with_context(|| format!("{told}{}", text(&output.stderr)))?;
        let n: u64 = requests.0.parse()?;
        ensure!(n > 100, "{told}");
        ensure!(
            !told.contains("Socket errors") && !told.contains("Non-2xx"),
            "{told}"
        );
        Ok(())
    }
}
