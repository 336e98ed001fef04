//! Where in a job file lies what the scheduler's check found.

use proffer_batch_core::{JobSpec, Place, ScheduleError, SubmitError, TaskSpec, TemplateError};

/// The path of the field that is wrong, such as `tasks[3].after[1]`; empty for the file as a whole.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is wrong with a job as a whole has no better place than its beginning"
)]
pub(super) fn of(error: &SubmitError, spec: &JobSpec) -> String {
    use SubmitError as E;
    match error {
        E::JobName(_) | E::NameInUse(_) => "name".to_owned(),
        E::Priority(_) => "priority".to_owned(),
        E::TooManyAfterJobs(_) | E::RecurringAfter(_) => "after_jobs".to_owned(),
        E::NoTasks(_) | E::TooManyTasks(_) | E::TooManyInstances(_) | E::TooManyEdges(_) => {
            "tasks".to_owned()
        }
        E::TaskName(_) => {
            // The error has as much of it as can be shown.
            let wrong = |task: &TaskSpec| {
                SubmitError::TaskName(
                    task.name
                        .chars()
                        .take(80)
                        .collect::<String>()
                        .escape_debug()
                        .to_string(),
                ) == *error
            };
            let at = spec.tasks.iter().position(wrong);
            at.map_or_else(|| "tasks".to_owned(), |at| format!("tasks[{at}].name"))
        }
        E::TaskTwice(name) => {
            let mut same = spec
                .tasks
                .iter()
                .enumerate()
                .filter(|(_, task)| task.name == *name);
            let second = same.nth(1);
            second.map_or_else(|| "tasks".to_owned(), |(at, _)| format!("tasks[{at}].name"))
        }
        E::UnknownAfter { task, after } | E::UnevenAfter { task, after, .. } => edge(spec, task, after),
        E::Cycle(path) => {
            let mut names = path.split(" -> ");
            match (names.next(), names.next()) {
                (Some(task), Some(after)) => edge(spec, task, after),
                _ => "tasks".to_owned(),
            }
        }
        E::NoInstance(task) => field(spec, task, "count"),
        E::AsksForNone { task, resource } | E::LowLimit { task, resource } => {
            let of_limit = matches!(error, E::LowLimit { .. });
            let field_name = match of_limit {
                true => format!("limits.{resource}"),
                false => resource.to_string(),
            };
            field(spec, task, &field_name)
        }
        E::NotAmounts(task) => field(spec, task, "resources"),
        E::Constraints { task, .. } => field(spec, task, "constraints"),
        E::NoneOnAgent(task) => field(spec, task, "max_per_agent"),
        E::GangAfter(task) | E::GangEach(task) => field(spec, task, "after"),
        E::NoCommand(task) => field(spec, task, "name"),
        E::LargeContainer { task, .. } => field(spec, task, "command"),
        E::Retries { task, .. } => field(spec, task, "retries"),
        E::NoneRunning(task) | E::GangRunning(task) => field(spec, task, "max_running"),
        E::Backoff { task, .. } => field(spec, task, "backoff"),
        E::NoExitCodes(task) => field(spec, task, "retry_on_exit"),
        E::Schedule(error) => schedule(error, spec),
        E::Template(error) => template(error, spec),
        _ => String::new(),
    }
}

fn schedule(error: &ScheduleError, spec: &JobSpec) -> String {
    use ScheduleError as E;
    let field_name = match error {
        E::ShortInterval(_) | E::LongInterval(_) => "every",
        E::Fraction { what, .. } if what.contains("start") => "start",
        E::Fraction { .. } => "every",
        E::LateStart => "start",
        E::NoEpsilon | E::LongEpsilon(_) | E::EpsilonOverInterval { .. } => "epsilon",
        E::History(_) => "history",
        E::LongExpression(_) | E::Expression { .. } | E::Never(_) => "cron",
        E::Timezone(_) => "timezone",
        E::Retries(task) => return field(spec, task, "retries"),
    };
    format!("schedule.{field_name}")
}

fn template(error: &TemplateError, spec: &JobSpec) -> String {
    use TemplateError as E;
    let of_parameter = |name: &str| format!("parameters.{name}");
    match error {
        E::TooMany(_) | E::Name(_) | E::AllLarge(_) => "parameters".to_owned(),
        E::Large { name, what, .. } => format!("parameters.{name}.{what}"),
        E::Nul(name) | E::RequiredDefault(name) => of_parameter(name),
        E::History(_) => "history".to_owned(),
        E::Unknown { task, place, .. } | E::Open { task, place } => {
            let field_name = match place {
                Place::Command(n) => format!("command[{n}]"),
                Place::Argument(n) => format!("arguments[{n}]"),
                Place::Env(name) => format!("env.{name}"),
            };
            field(spec, task, &field_name)
        }
        E::NoPlace { task, .. } => field(spec, task, "name"),
        E::Recurs(_) => "schedule".to_owned(),
        E::Held(_) => "hold".to_owned(),
        E::ComesAfter(_) => "after_jobs".to_owned(),
        E::Dispatched(_) => String::new(),
    }
}

fn position(spec: &JobSpec, task: &str) -> Option<usize> {
    spec.tasks.iter().position(|of| of.name == task)
}

fn field(spec: &JobSpec, task: &str, field_name: &str) -> String {
    match position(spec, task) {
        Some(at) => format!("tasks[{at}].{field_name}"),
        None => "tasks".to_owned(),
    }
}

/// That a task comes after another. The other's name is escaped where it is none.
fn edge(spec: &JobSpec, task: &str, after: &str) -> String {
    let Some(at) = position(spec, task) else {
        return "tasks".to_owned();
    };
    let same = |name: &str| name == after || name.escape_debug().to_string().starts_with(after);
    let edge = spec.tasks[at].after.iter().position(|of| same(&of.task));
    match edge {
        Some(edge) => format!("tasks[{at}].after[{edge}]"),
        None => format!("tasks[{at}].after"),
    }
}
