//! Services that scale by themselves: what is measured comes in, numbers of replicas come out.
//!
//! Every [`INTERVAL`] each such service is looked at: each of its targets asks for a number of replicas ([`decide`]), and the
//! number is changed as by hand. What was measured is not durable, and after a start everything is measured anew before there
//! is a decision; the log of decisions is.

mod decide;
mod log;
mod message;
mod policy;
mod usage;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_session::Context;
use proffer_types::edge_report::EdgeReport;
use proffer_types::{AgentId, Resources, TaskId, Timestamp};

pub use self::decide::{SPARE_PERCENT, TOLERANCE_PERCENT};
pub(crate) use self::log::Log;
pub use self::log::{Decision, MAX_DECISIONS};
pub use self::policy::{
    Autoscaling, DEFAULT_DOWN_WINDOW, MAX_QUERY_BYTES, MAX_TARGETS, MAX_URL_BYTES, MAX_WINDOW, Metric, Pace,
    Query, Target,
};
pub use self::usage::Reading;

use self::decide::{Opinion, Recommendations, Use};
use self::usage::Readings;
use crate::records;
use crate::service::Service;
use crate::services::Services;
use crate::spec::ServiceSpec;
use crate::task_id::Parts;
use crate::traffic::Traffic;

/// How often there is a decision.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// What was read or answered longer ago is not known any more.
pub const STALE: Duration = Duration::from_secs(45);
/// The longest reason why something could not be measured, in characters.
const MAX_PROBLEM_CHARS: usize = 200;

/// All that is known for decisions, and of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Autoscaler {
    /// By service. Durable, and nothing else here is.
    pub(crate) logs: BTreeMap<String, Log>,
    /// When services are looked at next; never while there is none to look at, or no master to hear of replicas from.
    next: Option<Timestamp>,
    states: BTreeMap<String, State>,
    traffic: Traffic,
}

/// What was measured for one service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    usage: BTreeMap<TaskId, Readings>,
    answers: BTreeMap<Query, Answer>,
    /// How many replicas were available, and since when there have been about as many.
    n_ready: u32,
    renewed: Timestamp,
    recommendations: Recommendations,
    /// As the targets, at the latest look.
    figures: Vec<Figure>,
    message: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    at: Timestamp,
    milli: Result<u64, String>,
}

/// What is measured for one target.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figure {
    /// In thousandths of the metric's unit.
    pub milli: Option<u64>,
    /// How many replicas that asks for.
    pub wants: Option<u32>,
    /// Why it is not known.
    pub problem: Option<String>,
}

/// What a service that scales by itself measures, and what it did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScalingView {
    /// As the targets; none before the first look.
    pub figures: Vec<Figure>,
    /// Why the number of replicas stays as it is.
    pub message: String,
    /// Oldest first.
    pub decisions: Vec<Decision>,
}

#[cfg(test)]
impl Autoscaler {
    /// Whether nothing was measured.
    pub(crate) fn is_blank(&self) -> bool {
        self.states.is_empty()
    }
}

impl Services {
    /// The tasks whose use is to be read, by agent.
    #[must_use]
    pub fn tasks_to_read(&self) -> BTreeMap<AgentId, Vec<TaskId>> {
        let mut tasks: BTreeMap<AgentId, Vec<TaskId>> = BTreeMap::new();
        for service in self.scaled().filter(|(_, policy)| policy.follows_use()) {
            for (task, agent, _) in available(service.0) {
                tasks.entry(agent.clone()).or_default().push(task);
            }
        }
        tasks
    }

    /// Takes what an agent counts for tasks; of tasks that are not available there, nothing.
    pub fn used(&mut self, agent: &AgentId, readings: &[(TaskId, Reading)], now: Timestamp) {
        for (task, reading) in readings {
            let Some(parts) = Parts::parse(task) else {
                continue;
            };
            let service = self.services.get(parts.service);
            let Some(service) = service.filter(|service| service.spec.scaling.is_some()) else {
                continue;
            };
            let slot = service.slots.get(&parts.slot);
            let instance = slot.and_then(|slot| slot.at(slot.find(parts.start)?));
            if !instance.is_some_and(|of| of.is_available() && of.agent_id.as_ref() == Some(agent)) {
                continue;
            }
            let state = self
                .autoscaler
                .states
                .entry(parts.service.to_owned())
                .or_default();
            match state.usage.get_mut(task) {
                Some(readings) => readings.add(now, *reading),
                None => {
                    state.usage.insert(task.clone(), Readings::new(now, *reading));
                }
            }
        }
    }

    /// What Prometheus servers are to be asked, with the service that wants to know.
    #[must_use]
    pub fn queries(&self) -> Vec<(String, Query)> {
        let mut queries = Vec::new();
        for (service, policy) in self.scaled() {
            queries.extend(
                policy
                    .queries()
                    .map(|query| (service.spec.name.clone(), query.clone())),
            );
        }
        queries
    }

    /// Takes what a query gave, or why it gave nothing. Less than nothing counts as nothing.
    pub fn answered(&mut self, service: &str, query: &Query, answer: Result<f64, String>, now: Timestamp) {
        let policy = self
            .services
            .get(service)
            .and_then(|service| service.spec.scaling.as_ref());
        if policy.is_some_and(|policy| policy.asks(query)) {
            let milli = answer.and_then(milli);
            let milli = milli.map_err(|why| why.chars().take(MAX_PROBLEM_CHARS).collect());
            let state = self.autoscaler.states.entry(service.to_owned()).or_default();
            state.answers.insert(query.clone(), Answer { at: now, milli });
        }
    }

    /// Takes what an edge reports of traffic, where something may scale by it.
    pub(crate) fn count_traffic(&mut self, report: &EdgeReport, now: Timestamp) {
        let Self {
            services, autoscaler, ..
        } = self;
        if autoscaler.next.is_none() {
            return;
        }
        let counts = |name: &str| services.get(name).is_some_and(|of| of.spec.scaling.is_some());
        autoscaler.traffic.add(report, now, counts);
    }

    /// The services that scale by themselves.
    fn scaled(&self) -> impl Iterator<Item = (&Service, &Autoscaling)> {
        let services = self.services.values().filter(|service| !service.deleting);
        services.filter_map(|service| Some((service, service.spec.scaling.as_ref()?)))
    }

    /// A checked spec as it is taken: a service that scales by itself goes on from the number of replicas it has.
    pub(crate) fn settled(&self, mut spec: ServiceSpec) -> ServiceSpec {
        if let Some(scaling) = &spec.scaling {
            spec.replicas = match self.services.get(&spec.name) {
                Some(service) => service.spec.replicas.max(scaling.min).min(scaling.max),
                None => scaling.first(spec.replicas),
            };
        }
        spec
    }

    /// Something begins or ends to scale by itself, or is to do so by other rules.
    pub(crate) fn arm(&mut self, now: Timestamp) {
        let names: BTreeSet<_> = self
            .scaled()
            .map(|(service, _)| service.spec.name.clone())
            .collect();
        let counts = |name: &str| names.contains(name);
        let autoscaler = &mut self.autoscaler;
        autoscaler.states.retain(|name, _| counts(name));
        autoscaler.traffic.retain(counts);
        autoscaler
            .states
            .values_mut()
            .for_each(|state| state.figures.clear());
        let is_due = !names.is_empty() && self.cluster.connected;
        autoscaler.next = is_due.then(|| autoscaler.next.unwrap_or_else(|| now.after(INTERVAL)));
    }

    /// Nothing is heard of replicas: what was measured will be old.
    pub(crate) fn disarm(&mut self) {
        let logs = std::mem::take(&mut self.autoscaler.logs);
        self.autoscaler = Autoscaler {
            logs,
            ..Autoscaler::default()
        };
    }

    pub(crate) fn next_look(&self) -> Option<Timestamp> {
        self.autoscaler.next
    }

    /// Looks at all services, when it is time.
    pub(crate) fn autoscale(&mut self, cx: &mut Context<'_>) {
        let now = cx.now();
        if self.autoscaler.next.is_none_or(|at| now < at) {
            return;
        }
        let names: Vec<_> = self
            .scaled()
            .map(|(service, _)| service.spec.name.clone())
            .collect();
        for name in &names {
            self.autoscale_one(name, cx);
        }
        self.autoscaler.next = (!names.is_empty()).then(|| now.after(INTERVAL));
    }

    fn autoscale_one(&mut self, name: &str, cx: &mut Context<'_>) {
        let now = cx.now();
        let Some(service) = self.services.get(name) else {
            return;
        };
        let Some(policy) = &service.spec.scaling else {
            return;
        };
        let current = service.spec.replicas;
        let state = self.autoscaler.states.entry(name.to_owned()).or_default();
        state.forget(service, policy);
        state.renew(n_ready(service), now);
        let look = Look {
            now,
            service,
            current,
            state,
            traffic: &self.autoscaler.traffic,
        };
        let judged: Vec<_> = policy.targets.iter().map(|target| look.judge(target)).collect();
        let opinions: Vec<_> = judged.iter().map(|(opinion, _)| *opinion).collect();
        let why = why(policy, &judged);
        state.figures = judged.into_iter().map(|(_, figure)| figure).collect();
        let Some(wanted) = decide::most(&opinions, current) else {
            "what its targets ask for is not known".clone_into(&mut state.message);
            return;
        };
        let to = state.recommendations.add(now, wanted, current, policy);
        state.message = held(policy, wanted, current, to);
        if to == current {
            return;
        }
        if let Err(full) = self.check_room(name, to) {
            if let Some(state) = self.autoscaler.states.get_mut(name) {
                state.message = full.to_string();
            }
            return;
        }
        let log = self.autoscaler.logs.entry(name.to_owned()).or_default();
        log.add(Decision {
            at: now,
            from: current,
            to,
            why,
        });
        cx.put(records::scaling_key(name), log.write());
        if let Some(service) = self.services.get_mut(name) {
            service.scale(to, cx);
        }
    }

    /// A service is gone, with all that was decided of it.
    pub(crate) fn forget_scaling(&mut self, name: &str, cx: &mut Context<'_>) {
        self.autoscaler.states.remove(name);
        if self.autoscaler.logs.remove(name).is_some() {
            cx.delete(records::scaling_key(name));
        }
    }

    /// What people see of it.
    pub(crate) fn scaling_view(&self, spec: &ServiceSpec) -> Option<ScalingView> {
        spec.scaling.as_ref()?;
        let log = self.autoscaler.logs.get(&spec.name);
        let state = self.autoscaler.states.get(&spec.name);
        Some(ScalingView {
            figures: state.map(|state| state.figures.clone()).unwrap_or_default(),
            message: match state {
                Some(state) => state.message.clone(),
                None => "nothing is measured yet".to_owned(),
            },
            decisions: log.into_iter().flat_map(Log::decisions).cloned().collect(),
        })
    }
}

fn n_ready(service: &Service) -> u32 {
    u32::try_from(service.index.available.len()).unwrap_or(u32::MAX)
}

/// The tasks of a service that serve, with their agents and what they ask for.
fn available(service: &Service) -> impl Iterator<Item = (TaskId, &AgentId, &Resources)> {
    let instances = service.slots.values().flat_map(|slot| {
        let instances = slot.instances().filter(|(_, instance)| instance.is_available());
        instances.map(|(_, instance)| (slot.number, instance))
    });
    instances.filter_map(|(slot, instance)| {
        let version = service.versions.get(&instance.version)?;
        let id = service.parts(slot, instance.start).id()?;
        Some((id, instance.agent_id.as_ref()?, &version.task.resources))
    })
}

impl State {
    /// What is not asked for any more.
    fn forget(&mut self, service: &Service, policy: &Autoscaling) {
        if !self.usage.is_empty() {
            let tasks: BTreeSet<_> = available(service).map(|(task, ..)| task).collect();
            self.usage.retain(|task, _| tasks.contains(task));
        }
        self.answers.retain(|query, _| policy.asks(query));
    }

    /// What each replica had to do while there were fewer or more says nothing of the present: to go by it would overshoot. Where
    /// replicas come and go all the time, every other look goes by it all the same.
    fn renew(&mut self, n_ready: u32, now: Timestamp) {
        let change = u64::from(n_ready.abs_diff(self.n_ready));
        let is_other = change * 100 > u64::from(n_ready) * TOLERANCE_PERCENT;
        if self.n_ready == 0 {
            self.n_ready = n_ready;
        } else if is_other && now.since(self.renewed) >= 2 * INTERVAL {
            self.usage.values_mut().for_each(Readings::renew);
            (self.n_ready, self.renewed) = (n_ready, now);
        }
    }
}

/// One look at one service.
struct Look<'a> {
    now: Timestamp,
    service: &'a Service,
    current: u32,
    state: &'a State,
    traffic: &'a Traffic,
}

impl Look<'_> {
    /// What a target asks for, and what is to be shown of it.
    fn judge(&self, target: &Target) -> (Opinion, Figure) {
        let judged = match &target.metric {
            Metric::Cpu => self.of_use(target, Readings::cpu),
            Metric::Memory => self.of_use(target, Readings::memory),
            Metric::Prometheus(query) => self.answer(query).map(|milli| match query.per_replica {
                true => self.shared(milli, target),
                false => (
                    decide::level(milli, target.milli, self.n_ready(), self.current),
                    milli,
                ),
            }),
            Metric::Requests | Metric::Latency { .. } | Metric::Errors => self.of_traffic(target),
        };
        match judged {
            Ok((opinion, milli)) => {
                let wants = match opinion {
                    Opinion::Wants(n) => Some(n),
                    Opinion::Spare | Opinion::Unknown => None,
                };
                let problem = (opinion == Opinion::Unknown).then(|| "no replica is available".to_owned());
                let figure = Figure {
                    milli: Some(milli),
                    wants,
                    problem,
                };
                (opinion, figure)
            }
            Err(problem) => {
                let figure = Figure {
                    problem: Some(problem),
                    ..Figure::default()
                };
                (Opinion::Unknown, figure)
            }
        }
    }

    fn n_ready(&self) -> u32 {
        n_ready(self.service)
    }

    /// What is for all replicas together; shown for each.
    fn shared(&self, total: u64, target: &Target) -> (Opinion, u64) {
        let opinion = decide::shared(total, target.milli, self.current);
        (opinion, total / u64::from(self.current.max(1)))
    }

    fn of_use(
        &self,
        target: &Target,
        part: impl Fn(&Readings, &Resources) -> Option<u64>,
    ) -> Result<(Opinion, u64), String> {
        let mut of = Use::default();
        for (task, _, asked) in available(self.service) {
            let readings = self.state.usage.get(&task);
            let fresh = readings.filter(|readings| self.now.since(readings.heard()) < STALE);
            match fresh.and_then(|readings| part(readings, asked)) {
                Some(milli) => {
                    of.total_milli = of.total_milli.saturating_add(milli);
                    of.n_measured += 1;
                }
                None => of.n_missing += 1,
            }
        }
        of.n_unready = self.current.saturating_sub(self.n_ready());
        if of.n_measured == 0 {
            return Err(match of.n_missing {
                0 => "no replica is available".to_owned(),
                n => format!("of the {n} replicas that are available, none is measured yet"),
            });
        }
        let mean = of.total_milli / u64::from(of.n_measured);
        Ok((decide::of_use(of, target.milli, self.current), mean))
    }

    fn answer(&self, query: &Query) -> Result<u64, String> {
        let answer = self.state.answers.get(query);
        match answer.filter(|answer| self.now.since(answer.at) < STALE) {
            Some(answer) => answer.milli.clone(),
            None => Err("Prometheus was not asked lately".to_owned()),
        }
    }

    fn of_traffic(&self, target: &Target) -> Result<(Opinion, u64), String> {
        let load = self
            .traffic
            .of(&self.service.spec.name, self.now, self.state.renewed);
        let load = load.ok_or("no edge reports what the service serves")?;
        let strain = |milli| match self.now.since(self.state.renewed) < INTERVAL {
            true => Err("replicas came or went, so it is measured anew".to_owned()),
            false => Ok((
                decide::strain(milli, target.milli, self.n_ready(), self.current),
                milli,
            )),
        };
        let (opinion, milli) = match &target.metric {
            Metric::Requests => self.shared(load.requests(), target),
            Metric::Latency { percentile } => strain(load.latency(*percentile))?,
            Metric::Errors => strain(load.errors())?,
            Metric::Cpu | Metric::Memory | Metric::Prometheus(_) => {
                return Err("it is not about traffic".to_owned());
            }
        };
        let is_fewer = match opinion {
            Opinion::Wants(n) => n < self.current,
            Opinion::Spare => true,
            Opinion::Unknown => false,
        };
        if is_fewer && !load.is_whole {
            return Err("an edge is silent, so there may be more than the others report".to_owned());
        }
        Ok((opinion, milli))
    }
}

/// What all targets ask for, in words.
fn why(policy: &Autoscaling, judged: &[(Opinion, Figure)]) -> String {
    let of = |(target, (opinion, figure)): (&Target, &(Opinion, Figure))| {
        let metric = &target.metric;
        let wanted = target.text(target.milli);
        let is = figure.milli.map(|milli| target.text(milli));
        match (is, opinion) {
            (Some(is), Opinion::Wants(n)) => format!("{metric} {is} of {wanted} asks for {n}"),
            (Some(is), Opinion::Spare) => format!("{metric} {is} of {wanted} asks for none"),
            (Some(_) | None, _) => format!("{metric} is not known"),
        }
    };
    let all: Vec<_> = policy.targets.iter().zip(judged).map(of).collect();
    all.join(", ")
}

/// Why what is wanted is not done.
fn held(policy: &Autoscaling, wanted: u32, current: u32, to: u32) -> String {
    if to == wanted {
        return String::new();
    }
    let (bound, window, which) = match wanted > current {
        true => (policy.max, policy.up_window(), "up"),
        false => (policy.min, policy.down_window(), "down"),
    };
    let by_step = match wanted > current {
        true => to == policy.highest(current),
        false => to == policy.lowest(current),
    };
    let why = match to {
        _ if to == bound => format!("{bound} is {}", if wanted > current { "max" } else { "min" }),
        _ if by_step => format!("there is a step for {which}"),
        _ => format!("the window for {which} is {window:?}"),
    };
    format!("{wanted} are asked for, and {why}")
}

/// A number that was measured elsewhere.
fn milli(value: f64) -> Result<u64, String> {
    const MOST: f64 = 1e18;
    if !value.is_finite() {
        return Err(format!("it gives {value}"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bounded before"
    )]
    Ok((value * 1000.0).clamp(0.0, MOST).round() as u64)
}
