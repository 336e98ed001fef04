//! Jobs and settings of queues, said in words.

use std::time::Duration;

use proffer_types::{
    Backfill, Constraint, ContainerSpec, KillPolicy, Limits, OfferConstraints, PlacementRules, Predicate,
    ResourceName, Resources, Role, Selector, Timestamp,
};

use crate::{
    After, AfterJob, Dispatch, ExitCodes, JobSpec, MissedPolicy, On, Overlap, Parameter, Payload,
    QueueSettings, RetryPolicy, Schedule, TaskSpec, Template, When,
};

/// `fair-share easy half:60 alice=2`, `time-slice slice:5`.
pub(super) fn settings(words: &[&str]) -> QueueSettings {
    let mut settings = QueueSettings {
        policy: words[0].parse().unwrap(),
        ..QueueSettings::default()
    };
    for word in &words[1..] {
        match (*word, word.split_once('='), word.strip_prefix("half:")) {
            ("any", ..) => settings.backfill = Backfill::Any,
            ("easy", ..) => settings.backfill = Backfill::Easy,
            ("none", ..) => settings.backfill = Backfill::None,
            (_, Some((user, share)), _) => {
                settings.shares.insert(user.to_owned(), share.parse().unwrap());
            }
            (_, _, Some(seconds)) => settings.half_life = Duration::from_secs(seconds.parse().unwrap()),
            _ => match word.strip_prefix("slice:") {
                Some(seconds) => settings.slice = Duration::from_secs_f64(seconds.parse().unwrap()),
                None => panic!("{word} is no setting of a queue"),
            },
        }
    }
    settings
}

/// `every:5`, `start:100`, `cron:*/5_*_*_*_*`, `in:Europe/Berlin`, `epsilon:2`, `skip`, `replace`, `least`, `history:3`.
pub(super) fn set_schedule(spec: &mut JobSpec, word: &str) {
    let schedule = spec.schedule.get_or_insert(Schedule {
        when: When::Every {
            interval: Duration::from_secs(10),
            start: None,
        },
        epsilon: None,
        overlap: Overlap::Allow,
        missed: MissedPolicy::AtMostOnce,
        history: 0,
    });
    let (key, value) = word.split_once(':').unwrap_or((word, ""));
    let seconds = || Duration::from_secs_f64(value.parse().unwrap());
    match (key, &mut schedule.when) {
        ("every", When::Every { interval, .. }) => *interval = seconds(),
        ("start", When::Every { start, .. }) => *start = Some(Timestamp(0).after(seconds())),
        ("cron", when) => {
            *when = When::Cron {
                expression: value.replace('_', " "),
                timezone: String::new(),
            };
        }
        ("in", When::Cron { timezone, .. }) => *timezone = value.to_owned(),
        ("epsilon", _) => schedule.epsilon = Some(seconds()),
        ("history", _) => schedule.history = value.parse().unwrap(),
        ("skip", _) => schedule.overlap = Overlap::Skip,
        ("replace", _) => schedule.overlap = Overlap::Replace,
        ("least", _) => schedule.missed = MissedPolicy::AtLeastOnce,
        _ => panic!("{word} is no part of a schedule"),
    }
}

/// `J a*2 b<a c<a~,b?^ d:cpus:4 r1 b5 only:3,4 not:5 n2 d60 held after:K after:K? after:K~ by:alice p5 m2 rack=r1 gang @role`: tasks, then what holds for all of them. `a*2!` is a gang itself.
/// What begins with `~` is of the schedule, and `takes:` makes it a template.
pub(super) fn job(words: &[&str]) -> JobSpec {
    let mut spec = JobSpec {
        name: words[0].to_owned(),
        ..JobSpec::default()
    };
    let number = |word: &str| word[1..].parse::<i32>().ok();
    for word in &words[1..] {
        if let Some(takes) = word.strip_prefix("takes:") {
            spec.template = Some(template(takes));
        } else if let Some(role) = word.strip_prefix('@') {
            spec.role = Role::new(role).unwrap();
        } else if let Some(priority) = number(word).filter(|_| word.starts_with('p')) {
            spec.priority = priority;
        } else if let Some(retries) = number(word).filter(|_| word.starts_with('r')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retries = retries.try_into().unwrap());
        } else if let Some(seconds) = number(word).filter(|_| word.starts_with('b')) {
            let backoff = Duration::from_secs(seconds.try_into().unwrap());
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retry.backoff = backoff);
        } else if let Some(most) = number(word).filter(|_| word.starts_with('n')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.max_running = Some(most.try_into().unwrap()));
        } else if let Some(codes) = word.strip_prefix("only:").or(word.strip_prefix("not:")) {
            let codes = codes.split(',').map(|code| code.parse().unwrap()).collect();
            let exits = match word.starts_with("only") {
                true => ExitCodes::Only(codes),
                false => ExitCodes::AllBut(codes),
            };
            spec.tasks
                .iter_mut()
                .for_each(|task| task.retry.exits = exits.clone());
        } else if let Some(most) = number(word).filter(|_| word.starts_with('m')) {
            spec.tasks
                .iter_mut()
                .for_each(|task| task.rules.max_per_agent = Some(most.try_into().unwrap()));
        } else if let Some(timeout) = number(word).filter(|_| word.starts_with('t')) {
            let timeout = Duration::from_secs(timeout.try_into().unwrap());
            spec.tasks
                .iter_mut()
                .for_each(|task| task.timeout = Some(timeout));
        } else if let Some(word) = word.strip_prefix('~') {
            set_schedule(&mut spec, word);
        } else if let Some((name, value)) = word.split_once('=') {
            let constraint = Constraint {
                selector: Selector::Attribute(name.to_owned()),
                predicate: Predicate::Equals(value.to_owned()),
            };
            let constraints = OfferConstraints::all_of(vec![constraint]);
            spec.tasks
                .iter_mut()
                .for_each(|task| task.rules.constraints = constraints.clone());
        } else if let Some(after) = word.strip_prefix("after:") {
            let After { task: job, on, .. } = after_of(after);
            spec.after_jobs.push(AfterJob { job, on });
        } else if *word == "held" {
            spec.hold = true;
        } else if let Some(seconds) = number(word).filter(|_| word.starts_with('d')) {
            spec.deadline = Some(Duration::from_secs(seconds.try_into().unwrap()));
        } else if let Some(user) = word.strip_prefix("by:") {
            user.clone_into(&mut spec.user);
        } else if *word == "gang" {
            spec.gang = true;
        } else {
            spec.tasks.push(task(word));
        }
    }
    spec
}

/// `a!,b,c=x,#!,2`: one that is required, one that is empty, one with a default, a payload (`#?`, `#!`), and how many runs are
/// kept.
fn template(words: &str) -> Template {
    let mut template = Template::default();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        match (word, word.parse(), word.split_once('=')) {
            ("#?", ..) => template.payload = Payload::Optional,
            ("#!", ..) => template.payload = Payload::Required,
            (_, Ok(n), _) => template.history = n,
            (_, _, default) => {
                let (name, default) = default.unwrap_or((word.trim_end_matches('!'), ""));
                let parameter = Parameter {
                    required: word.ends_with('!'),
                    default: default.to_owned(),
                    description: String::new(),
                };
                template.parameters.insert(name.to_owned(), parameter);
            }
        }
    }
    template
}

/// `id:t1 a=1 #text`: a token, a value, a payload.
pub(super) fn dispatch(words: &[&str]) -> Dispatch {
    let mut dispatch = Dispatch::default();
    for word in words {
        match (
            word.strip_prefix("id:"),
            word.strip_prefix('#'),
            word.split_once('='),
        ) {
            (Some(token), ..) => token.clone_into(&mut dispatch.token),
            (_, Some(payload), _) => dispatch.payload = Some(payload.as_bytes().to_vec()),
            (.., Some((name, value))) => {
                dispatch.values.insert(name.to_owned(), value.to_owned());
            }
            _ => panic!("{word} is nothing to dispatch with"),
        }
    }
    dispatch
}

fn task(word: &str) -> TaskSpec {
    let (word, gang) = word.strip_suffix('!').map_or((word, false), |word| (word, true));
    let (word, asks) = word.split_once(':').unwrap_or((word, ""));
    let (word, after) = word.split_once('<').unwrap_or((word, ""));
    let (name, count) = word.split_once('*').unwrap_or((word, "1"));
    let mut resources = Resources::of(1000, 1 << 30, 0);
    for ask in asks.split(';').filter(|ask| !ask.is_empty()) {
        let (name, _) = ask.split_once(':').unwrap();
        let name = ResourceName::new(name).unwrap();
        let units = ask.parse::<Resources>().unwrap().scalar(&name);
        resources = resources.with(name, units);
    }
    TaskSpec {
        gang,
        after: after
            .split(',')
            .filter(|after| !after.is_empty())
            .map(after_of)
            .collect(),
        ..spec_of(name, count.parse().unwrap(), None, resources)
    }
}

/// `a`: all of `a` has finished; `a?`: has failed; `a~`: has ended; with `^` behind it, index by index.
fn after_of(word: &str) -> After {
    let (word, each) = word.strip_suffix('^').map_or((word, false), |word| (word, true));
    let (task, on) = match word.as_bytes().last() {
        Some(b'?') => (&word[..word.len() - 1], On::Failure),
        Some(b'~') => (&word[..word.len() - 1], On::Any),
        _ => (word, On::Success),
    };
    After {
        task: task.to_owned(),
        on,
        each,
    }
}

pub(super) fn spec_of(name: &str, count: u32, after: Option<&str>, resources: Resources) -> TaskSpec {
    TaskSpec {
        name: name.to_owned(),
        count,
        after: after.map(after_of).into_iter().collect(),
        resources,
        container: ContainerSpec {
            command: vec!["true".to_owned()],
            ..ContainerSpec::default()
        },
        max_running: None,
        retries: 0,
        retry: RetryPolicy::default(),
        timeout: None,
        kill_policy: KillPolicy::default(),
        limits: Limits::default(),
        rules: PlacementRules::default(),
        gang: false,
    }
}
