//! Reads a YAML file and says precisely what is wrong with it: `job.yaml:6:10: tasks[0].mem: ...`, and shows the line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde::de::DeserializeOwned;
use thiserror::Error;

use super::locate::locate;
use crate::output::printable;

/// The largest file read: a DAG of 100,000 edges as a program writes it has some 3 MiB, and what comes of it has to fit in
/// a message of [`proffer_batch::MAX_JOB_BYTES`].
const MAX_FILE_BYTES: u64 = proffer_batch::MAX_JOB_BYTES as u64;
/// How much of a line is shown before and after what is wrong in it, in characters: what fits on a terminal.
const SHOWN_BEFORE: usize = 60;
const SHOWN_AFTER: usize = 40;

/// What the parser says, and what a person who never saw it understands.
const PLAIN_WORDS: [(&str, &str); 5] = [
    (
        "expected sequence start",
        "expected a list, such as [\"/bin/echo\", \"hi\"]",
    ),
    ("expected mapping start", "expected fields, each as `name: value`"),
    (", set DuplicateKeyPolicy in Options if acceptable", ""),
    (
        "multiple YAML documents detected; use from_str_multiple or from_str_multiple_with_options",
        "a second document begins; give one a file",
    ),
    (
        "cannot deserialize null into string; use Option<String>",
        "expected a text, such as \"hi\"",
    ),
];

/// A file that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum SpecError {
    #[error("cannot read {file}")]
    Read { file: String, source: io::Error },
    #[error("{file} is larger than {MAX_FILE_BYTES} bytes; split it")]
    TooLarge { file: String },
    #[error("{place}: {problem}")]
    Invalid {
        place: String,
        problem: String,
        /// The line, and a mark under it; empty where that is not known.
        excerpt: String,
    },
}

impl SpecError {
    /// The line that is wrong, and a mark under it; empty where that is not known.
    pub(crate) fn excerpt(&self) -> &str {
        match self {
            Self::Invalid { excerpt, .. } => excerpt,
            Self::Read { .. } | Self::TooLarge { .. } => "",
        }
    }
}

/// A file that was read: its name in errors, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) file: String,
    pub(crate) text: String,
}

impl Source {
    /// Reads one file; `-` is standard input.
    pub(crate) fn read(path: &Path) -> Result<Self, SpecError> {
        let (file, text) = read_text(path)?;
        Ok(Self { file, text })
    }

    /// An error at a place of it; both count from 1.
    pub(crate) fn refused_at(&self, line: u64, column: u64, problem: &str) -> SpecError {
        SpecError::Invalid {
            place: format!("{}:{line}:{column}", self.file),
            problem: problem.to_owned(),
            excerpt: excerpt(&self.text, line, column),
        }
    }
}

/// The name of a file in errors, and its text; `-` is standard input.
pub(super) fn read_text(path: &Path) -> Result<(String, String), SpecError> {
    let stdin = path == Path::new("-");
    let file = if stdin {
        "<stdin>".to_owned()
    } else {
        path.display().to_string()
    };
    let refuse = |source| SpecError::Read {
        file: file.clone(),
        source,
    };
    let mut text = String::new();
    if stdin {
        io::stdin()
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(refuse)?;
    } else {
        let opened = File::open(path).map_err(refuse)?;
        opened
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(refuse)?;
    }
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(SpecError::TooLarge { file });
    }
    Ok((file, text))
}

/// Reads one document from a text; `file` is its name in errors.
pub(crate) fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, SpecError> {
    let options = serde_saphyr::options! { with_snippet: false };
    let mut place_in_tree = String::new();
    let parsed = serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            place_in_tree = error.path().to_string();
            error.into_inner()
        })
    });
    parsed.map_err(|error: serde_saphyr::Error| invalid(file, text, &place_in_tree, &error))
}

/// An error about a field of a document that could be read.
pub(super) fn wrong(file: &str, text: &str, path: &str, problem: &str) -> SpecError {
    let (place, excerpt) = match locate(text, path) {
        Some((line, column)) => (format!("{file}:{line}:{column}"), excerpt(text, line, column)),
        None => (file.to_owned(), String::new()),
    };
    SpecError::Invalid {
        place,
        problem: problem.to_owned(),
        excerpt,
    }
}

/// The line at a place, with a mark under the column; both count from 1.
fn excerpt(text: &str, line: u64, column: u64) -> String {
    let nth = |n: u64| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
    let Some(shown) = text.lines().nth(nth(line)) else {
        return String::new();
    };
    let begin = nth(column).saturating_sub(SHOWN_BEFORE);
    let length = nth(column) - begin + SHOWN_AFTER;
    let part: String = shown.chars().skip(begin).take(length).collect();
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let mark = " ".repeat(nth(column) - begin);
    format!(
        "{margin} |\n{number} | {}\n{margin} | {mark}^\n",
        printable(&part)
    )
}

fn invalid(file: &str, source: &str, field: &str, error: &serde_saphyr::Error) -> SpecError {
    let mut place = file.to_owned();
    let mut shown = String::new();
    let mut text = error.without_snippet().to_string();
    if let Some(location) = error.location() {
        let (line, column) = (location.line(), location.column());
        place = format!("{file}:{line}:{column}");
        shown = excerpt(source, line, column);
        text = text.replace(&format!(" at line {line}, column {column}"), "");
    }
    for (jargon, plain) in PLAIN_WORDS {
        text = text.replace(jargon, plain);
    }
    let problem = match field {
        "" | "." | "?" => text,
        field => format!("{field}: {text}"),
    };
    SpecError::Invalid {
        place,
        problem,
        excerpt: shown,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proffer_types::Resources;
    use proffer_wire::v1;

    use super::super::{JobFile, ServiceFile};
    use super::*;

    fn check_job(text: &str, expected: Expect) {
        let actual = match parse::<JobFile>("job.yaml", text) {
            Ok(job) => format!("{:#?}", v1::JobSpec::from(job)),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    fn check_service(text: &str, expected: Expect) {
        let actual = match parse::<ServiceFile>("web.yaml", text) {
            Ok(service) => format!("{:#?}", v1::ServiceSpec::from(service)),
            Err(error) => error.to_string(),
        };
        expected.assert_eq(&actual);
    }

    #[test]
    fn a_job_file_becomes_what_the_wire_carries() {
        let job = parse::<JobFile>(
            "job.yaml",
            "name: corpus\nrole: analytics\npriority: 50\ntasks:\n  - name: count\n    count: 8\n    cpus: 0.1\n    mem: 64MiB\n    resources: {gpus: 1}\n    command: [\"/bin/sh\", \"-c\", \"echo $PROFFER_TASK_INDEX\"]\n    retries: 2\n    timeout: 5m\n    env: {A: 1, B: yes}\n  - name: sum\n    after: [count]\n    command: [\"true\"]\n",
        );
        let job = v1::JobSpec::from(job.unwrap());
        let task = |name: &str, count, resources: &str, command: &[&str]| v1::JobTask {
            name: name.to_owned(),
            count,
            resources: Some(resources.parse::<Resources>().unwrap().into()),
            container: Some(v1::ContainerSpec {
                command: command.iter().map(|&word| word.to_owned()).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let mut count = task(
            "count",
            8,
            "cpus:0.1;mem:64MiB;gpus:1",
            &["/bin/sh", "-c", "echo $PROFFER_TASK_INDEX"],
        );
        (count.retries, count.timeout_ms) = (2, 300_000);
        let env = [("A", "1"), ("B", "yes")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        count.container.as_mut().unwrap().env = env.into();
        let mut sum = task("sum", 1, "cpus:0.1;mem:128MiB", &["true"]);
        sum.conditions = vec![v1::JobCondition {
            task: "count".to_owned(),
            on: v1::JobConditionOn::JobOnSuccess.into(),
            each: false,
        }];
        let expected = v1::JobSpec {
            name: "corpus".to_owned(),
            role: "analytics".to_owned(),
            priority: 50,
            tasks: vec![count, sum],
            ..Default::default()
        };
        assert_eq!(job, expected);
    }

    #[test]
    fn a_job_file_says_what_comes_when_and_again() {
        let read = |fields: &str| {
            let text = format!(
                "name: j\nhold: true\ndeadline: 6h\nlabels: {{team: x, tier: 1}}\nafter_jobs: [build, {{job: test, on: failure}}, \"lint:any\"]\ntasks:\n  - name: a\n    command: [x]\n    {fields}\n"
            );
            parse::<JobFile>("job.yaml", &text).map(v1::JobSpec::from)
        };
        let job = read("max_running: 2\n    backoff: 10s\n    max_backoff: 5m\n    retry_on_exit: [75, 76]")
            .unwrap();
        assert_eq!((job.hold, job.deadline_ms), (true, 6 * 3600 * 1000));
        let labels = [("team", "x"), ("tier", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(job.labels, labels.into());
        let after = job.after_jobs.iter().map(|after| (&after.job[..], after.on()));
        let on = [
            ("build", v1::JobConditionOn::JobOnSuccess),
            ("test", v1::JobConditionOn::JobOnFailure),
            ("lint", v1::JobConditionOn::JobOnAny),
        ];
        assert_eq!(after.collect::<Vec<_>>(), on);
        let retry = v1::JobRetry {
            backoff_ms: 10_000,
            max_backoff_ms: 300_000,
            only_exits: vec![75, 76],
            not_exits: Vec::new(),
        };
        assert_eq!((job.tasks[0].max_running, &job.tasks[0].retry), (2, &Some(retry)));
        let job = read("after: [b, { task: c, on: any, each: true }]").unwrap();
        let on: Vec<_> = job.tasks[0]
            .conditions
            .iter()
            .map(|after| (&after.task[..], after.on(), after.each))
            .collect();
        let (success, any) = (v1::JobConditionOn::JobOnSuccess, v1::JobConditionOn::JobOnAny);
        assert_eq!(on, [("b", success, false), ("c", any, true)]);
        for wrong in [
            "after: [{ task: c, on: never }]",
            "after: [{ on: any }]",
            "max_running: 0",
            "backoff: 0s",
            "retry_on_exit: [-1]",
        ] {
            let error = format!("{:#}", read(wrong).unwrap_err());
            assert!(error.contains("job.yaml") && error.contains('9'), "{error}");
        }
    }

    #[test]
    fn a_task_says_where_it_runs_and_what_it_may_use_beyond_its_request() {
        let read = |text: &str| parse::<JobFile>("job.yaml", text).map(v1::JobSpec::from);
        let job = read(
            "name: j\ngang: true\ntasks:\n  - name: t\n    command: [a]\n    gang: true\n    limits: {cpus: 2, mem: infinite}\n    constraints: [{attribute: rack, equals: r1}, {region: eu}]\n    max_per_agent: 2\n    placement: spread\n",
        )
        .unwrap();
        let task = &job.tasks[0];
        assert!(job.gang && task.gang);
        let limits = task.limits.unwrap();
        assert_eq!((limits.cpus, limits.mem), (Some(2.0), Some(f64::INFINITY)));
        let rules = task.rules.clone().unwrap();
        assert_eq!(
            (rules.max_per_agent, rules.placement()),
            (Some(2), v1::Placement::Spread)
        );
        assert_eq!(rules.constraints.unwrap().groups[0].constraints.len(), 2);

        let one = |line: &str| {
            let error = read(&format!(
                "name: j\ntasks:\n  - name: t\n    command: [a]\n    {line}\n"
            ))
            .unwrap_err();
            error.to_string()
        };
        expect!["job.yaml:5:20: tasks[0].limits.cpus: `lots` is not a number of cores; write it like 0.25 or 2, with at most three decimals, or `infinite`"].assert_eq(&one("limits: {cpus: lots}"));
        expect!["job.yaml:5:14: tasks[0].limits.disk: unknown field `disk`, expected one of cpus, mem"]
            .assert_eq(&one("limits: {disk: 1GiB}"));
        expect!["job.yaml:5:20: tasks[0].max_per_agent: `0` is not a whole number from 1 to 4294967295"]
            .assert_eq(&one("max_per_agent: 0"));
        expect![
            "job.yaml:5:16: tasks[0].placement: unknown variant `anywhere`, expected one of pack, spread"
        ]
        .assert_eq(&one("placement: anywhere"));
        expect!["job.yaml:5:19: tasks[0].constraints[0]: a constraint needs one of attribute, hostname, region and zone"].assert_eq(&one("constraints: [{region: eu, zone: eu-1}]"));
    }

    #[test]
    fn a_schedule_is_an_interval_or_a_cron_expression() {
        let read = |schedule: &str| {
            let text = format!("name: j\ntasks: []\nschedule: {schedule}\n");
            match parse::<JobFile>("job.yaml", &text).map(v1::JobSpec::from) {
                Ok(job) => format!("{:?}", job.schedule.unwrap()),
                Err(error) => error.to_string(),
            }
        };
        expect!["JobSchedule { epsilon_ms: 10000, overlap: Skip, missed: Unspecified, history: 0, when: Some(Interval(JobInterval { interval_ms: 30000, start_ms: 1795302000000 })) }"].assert_eq(&read(
            "{every: 30s, start: \"2026-11-22T00:00:00+01:00\", epsilon: 10s, overlap: skip}",
        ));
        expect![[r#"JobSchedule { epsilon_ms: 0, overlap: Unspecified, missed: AtLeastOnce, history: 5, when: Some(Cron(JobCron { expression: "*/5 * * * *", timezone: "Europe/Berlin" })) }"#]].assert_eq(&read(
            "{cron: \"*/5 * * * *\", timezone: Europe/Berlin, missed: at_least_once, history: 5}",
        ));
        expect!["job.yaml:3:11: schedule: a schedule needs one of `every` and `cron`, such as `every: 30s`"]
            .assert_eq(&read("{every: 30s, cron: \"* * * * *\"}"));
        expect!["job.yaml:3:11: schedule: `timezone` belongs to `cron`; an interval has none"]
            .assert_eq(&read("{every: 30s, timezone: UTC}"));
        expect!["job.yaml:3:31: schedule.start: `tomorrow` is not a moment after 1970; write it like 2026-11-21T23:00:00Z"].assert_eq(&read("{every: 30s, start: tomorrow}"));
        expect![
            "job.yaml:3:19: schedule.every: `0s` is less than a millisecond; leave it out to have no limit"
        ]
        .assert_eq(&read("{every: 0s}"));
    }

    #[test]
    fn an_unknown_field_is_refused_where_it_stands() {
        let text = "name: j\ntasks:\n  - name: t\n    command: [a]\n    imago: alpine\n";
        let error = parse::<JobFile>("job.yaml", text).unwrap_err().to_string();
        let known =
            "job.yaml:5:5: tasks[0].imago: unknown field `imago`, expected one of name, count, after, ";
        assert!(error.starts_with(known), "{error}");
        check_job(
            "name: j\ntask: []\n",
            expect![
                "job.yaml:2:1: task: unknown field `task`, expected one of name, role, priority, tasks, gang, schedule, hold, deadline, labels, after_jobs, parameters, payload, history"
            ],
        );
        check_service(
            "name: web\nreplicas: 2\ntask: { command: [a] }\nupdates: { max_surge: 1 }\n",
            expect![
                "web.yaml:4:1: updates: unknown field `updates`, expected one of name, namespace, role, mode, replicas, task, lost_after, update, max_moving, labels, expose, shutdown_delay, scaling, health, constraints, spread, unique, together, near, apart"
            ],
        );
    }

    #[test]
    fn a_bad_quantity_is_refused_with_its_allowed_form() {
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: [a]\n    mem: -64MiB\n",
            expect![
                "job.yaml:5:10: tasks[0].mem: `-64MiB` is not a size; write it like 64MiB, 1.5GiB or a number of bytes"
            ],
        );
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: [a]\n    cpus: -1\n",
            expect![
                "job.yaml:5:11: tasks[0].cpus: `-1` is not a number of cores; write it like 0.25 or 2, with at most three decimals"
            ],
        );
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: [a]\n    timeout: 5 parsecs\n",
            expect![
                "job.yaml:5:14: tasks[0].timeout: `5 parsecs` is not a duration; write it like 5m30s or 500ms"
            ],
        );
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: [a]\n    timeout: 0s\n",
            expect![
                "job.yaml:5:14: tasks[0].timeout: `0s` is less than a millisecond; leave it out to have no limit"
            ],
        );
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: [a]\n    count: -3\n",
            expect!["job.yaml:5:12: tasks[0].count: `-3` is not a whole number from 1 to 4294967295"],
        );
        check_service(
            "name: web\nreplicas: many\ntask: { command: [a] }\n",
            expect!["web.yaml:2:11: replicas: `many` is not a whole number from 0 to 4294967295"],
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_refused_with_its_cause_once() {
        let error = Source::read(Path::new("/nowhere/job.yaml")).unwrap_err();
        assert_eq!(
            format!("{:#}", anyhow::Error::new(error)),
            "cannot read /nowhere/job.yaml: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_misshapen_file_is_refused_where_it_breaks() {
        check_job("name: j\n", expect!["job.yaml:1:1: missing field `tasks`"]);
        check_job("", expect!["job.yaml:1:1: unexpected end of input"]);
        check_job(
            "name: j\ntasks: [{name: t, command: [echo, ~]}]\n",
            expect![[r#"job.yaml:2:35: tasks[0].command[1]: expected a text, such as "hi""#]],
        );
        check_job(
            "name: j\ntasks: []\n---\nname: k\ntasks: []\n",
            expect!["job.yaml:4:1: a second document begins; give one a file"],
        );
        check_job(
            "name: j\ntasks:\n  - name: t\n    command: echo hi\n",
            expect![[r#"job.yaml:4:14: tasks[0].command: expected a list, such as ["/bin/echo", "hi"]"#]],
        );
        check_job(
            "name: j\ntasks: [\n",
            expect!["job.yaml:2:8: tasks: unclosed bracket '['"],
        );
        check_job(
            "name: j\nname: k\ntasks: []\n",
            expect!["job.yaml:2:1: duplicate mapping key: name"],
        );
    }
}
