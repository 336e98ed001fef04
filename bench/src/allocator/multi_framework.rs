//! MultiFrameworkAllocations: many short rounds, until every framework has all the tasks it wants.
//!
//! In Mesos's test a framework that has all its tasks still takes part, and as its role has the lowest share it is
//! offered most agents, for ever: that variant cannot end, and is measured by the round. In the others such a
//! framework suppresses offers, or had stated its demand in the first place.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use proffer_types::{FrameworkId, Resources, Role};

use super::measure::{Figure, cycle, timed};
use super::shape::{agent, bundle, framework, role, task};
use super::subject::{Filter, Offered, Running, Subject};
use super::{Ours, Textbook};
use crate::report::Report;

const AGENTS: u64 = 80;
const TASKS: u64 = 19_500;
/// Rounds of the variant that does not end.
const ENDLESS_ROUNDS: usize = 200;
/// A run that ends takes some hundred rounds; more mean that it does not.
const MAX_ROUNDS: usize = 10_000;
const RUNS: usize = 3;
const AIM_MS: f64 = 1000.0;

/// Frameworks of one kind, each in a role of its own unless they share one.
struct Profile {
    role: &'static str,
    shared_role: bool,
    frameworks: u64,
    tasks: u64,
    cpu_millis: u64,
    mem_mib: u64,
    per_offer: u64,
}

/// Like Marathon, Jenkins and Spark's dispatcher; the numbers are Mesos's.
const PROFILES: [Profile; 3] = [
    Profile {
        role: "roleA",
        shared_role: false,
        frameworks: 4,
        tasks: 4000,
        cpu_millis: 70,
        mem_mib: 400,
        per_offer: 100,
    },
    Profile {
        role: "roleB",
        shared_role: true,
        frameworks: 500,
        tasks: 5,
        cpu_millis: 100,
        mem_mib: 4000,
        per_offer: 1,
    },
    Profile {
        role: "roleC",
        shared_role: false,
        frameworks: 50,
        tasks: 20,
        cpu_millis: 1000,
        mem_mib: 1000,
        per_offer: 5,
    },
];

/// What keeps a framework that wants no more from being offered more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Nothing, as in Mesos's test.
    Endless,
    Suppress,
    /// It stated its demand, so it is offered no more than that.
    Demand,
}

/// One run.
struct Played {
    /// Milliseconds of all cycles and of all answers to their offers.
    ms: f64,
    cycles: Vec<f64>,
    n_offers: usize,
}

pub(super) fn run(report: &mut Report) -> Result<()> {
    let (mut demand, mut ours, mut textbook) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        demand.push(play(&mut Ours::new()?, Manner::Demand)?);
        ours.push(play(&mut Ours::new()?, Manner::Suppress)?);
        textbook.push(play(&mut Textbook::new(1), Manner::Suppress)?);
    }
    let whole = |played: &[Played]| played.iter().map(|run| run.ms).collect::<Vec<_>>();
    for (manner, played) in [("demand stated", &demand), ("suppressing when done", &ours)] {
        let rounds = played[0].cycles.len();
        let rounds = if rounds == 1 {
            "1 round".to_owned()
        } else {
            format!("{rounds} rounds")
        };
        let case = format!("MultiFrameworkAllocations, {manner}, {rounds}");
        Figure::new(case, whole(played), played[0].n_offers)
            .beside(whole(&textbook), None)
            .aim(AIM_MS)
            .add_to(report)?;
    }
    let ours = play(&mut Ours::new()?, Manner::Endless)?;
    let textbook = play(&mut Textbook::new(1), Manner::Endless)?;
    Figure::new(
        "MultiFrameworkAllocations, a round as in Mesos",
        ours.cycles,
        ours.n_offers / ENDLESS_ROUNDS,
    )
    .beside(textbook.cycles, None)
    .add_to(report)
}

fn play(subject: &mut dyn Subject, manner: Manner) -> Result<Played> {
    let mut frameworks = Frameworks::new();
    frameworks.subscribe(subject, manner);
    for n in 0..AGENTS {
        subject.add_agent(&agent(n), &bundle(64_000, 488_000, 0), &[]);
    }
    let max_rounds = if manner == Manner::Endless {
        ENDLESS_ROUNDS
    } else {
        MAX_ROUNDS
    };
    let mut played = Played {
        ms: 0.0,
        cycles: Vec::new(),
        n_offers: 0,
    };
    let mut n_tasks = 0;
    while frameworks.left() > 0 && played.cycles.len() < max_rounds {
        let (ms, offers) = cycle(subject);
        played.ms += ms;
        played.cycles.push(ms);
        played.n_offers += offers.len();
        for offer in &offers {
            let tasks = frameworks.tasks(offer, &mut n_tasks)?;
            let (ms, ()) = timed(|| frameworks.answer(subject, offer, &tasks, manner));
            played.ms += ms;
        }
    }
    let done = manner == Manner::Endless || n_tasks == TASKS;
    ensure!(
        done,
        "{n_tasks} of {TASKS} tasks placed in {} rounds",
        played.cycles.len()
    );
    Ok(played)
}

/// What one framework still wants.
struct Wish {
    role: Role,
    one: Resources,
    left: u64,
    per_offer: u64,
}

struct Frameworks(BTreeMap<FrameworkId, Wish>);

impl Frameworks {
    fn new() -> Self {
        let mut wishes = BTreeMap::new();
        for profile in &PROFILES {
            for nth in 0..profile.frameworks {
                let name = match profile.shared_role {
                    true => profile.role.to_owned(),
                    false => format!("{}-{nth}", profile.role),
                };
                let wish = Wish {
                    role: role(&name),
                    one: bundle(profile.cpu_millis, profile.mem_mib, 0),
                    left: profile.tasks,
                    per_offer: profile.per_offer,
                };
                wishes.insert(framework(wishes.len() as u64), wish);
            }
        }
        Self(wishes)
    }

    fn left(&self) -> u64 {
        self.0.values().map(|wish| wish.left).sum()
    }

    fn subscribe(&self, subject: &mut dyn Subject, manner: Manner) {
        for (framework, wish) in &self.0 {
            subject.add_framework(framework, &wish.role);
            if manner == Manner::Demand {
                subject.demand(framework, &wish.role, &wish.one, wish.left);
            }
        }
    }

    fn answer(&self, subject: &mut dyn Subject, offer: &Offered, tasks: &[Running], manner: Manner) {
        subject.answer(offer, tasks, Filter::None);
        let left = self.0[&offer.framework].left;
        match manner {
            Manner::Suppress if left == 0 => subject.suppress(&offer.framework, &offer.role),
            Manner::Demand => {
                let wish = &self.0[&offer.framework];
                subject.demand(&offer.framework, &wish.role, &wish.one, left);
            }
            Manner::Endless | Manner::Suppress => {}
        }
    }

    /// The tasks a framework makes of an offer.
    fn tasks(&mut self, offer: &Offered, n_tasks: &mut u64) -> Result<Vec<Running>> {
        let wish = self.0.get_mut(&offer.framework).context("an offer to nobody")?;
        let mut rest = offer.resources.clone();
        let mut tasks = Vec::new();
        while wish.left > 0 && (tasks.len() as u64) < wish.per_offer && rest.contains(&wish.one) {
            rest.subtract(&wish.one);
            wish.left -= 1;
            tasks.push(Running {
                framework: offer.framework.clone(),
                role: wish.role.clone(),
                task: task(*n_tasks),
                resources: wish.one.clone(),
            });
            *n_tasks += 1;
        }
        Ok(tasks)
    }
}
