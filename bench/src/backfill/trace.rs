//! Rigid parallel jobs as users submit them, and what a scheduler made of them.
//!
//! Sizes and run times are those of the batch jobs of Lublin and Feitelson, "The workload on parallel supercomputers: modeling the
//! characteristics of rigid jobs" (JPDC 63, 2003): sizes log-uniform in two stages, with many serial ones and powers of two; the
//! logarithm of a run time hyper-gamma, longer for larger jobs. Arrivals are Poisson, without their daily cycle, at the rate that
//! makes the wanted load. Users overestimate: up to five times, evenly, rounded up to what people write, as Mu'alem and Feitelson,
//! "Utilization, predictability, workloads, and user runtime estimates in scheduling the IBM SP2 with backfilling" (IEEE TPDS 12,
//! 2001).

use anyhow::{Result, anyhow};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, Exp1, Gamma};

/// What people write for a time limit, in seconds; 60 hours is the longest.
const LIMITS: [u64; 14] = [
    60, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 64_800, 129_600, 216_000,
];
/// Jobs that run longer are not submitted.
const LONGEST: u64 = 129_600;
const MAX_OVERESTIMATE: f64 = 5.0;
/// Of the bounded slowdown: shorter run times count as this, in seconds.
const SHORT: f64 = 10.0;

/// Times are in seconds since the first arrival could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) arrives: u64,
    pub(super) n_nodes: u32,
    pub(super) runs: u64,
    /// What its user says it takes at most.
    pub(super) limit: u64,
}

/// So many jobs whose work, over the time in which they arrive, is that percentage of what the nodes can do.
pub(super) fn trace(seed: u64, n_jobs: usize, n_nodes: u32, load: u32) -> Result<Vec<Job>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let gamma = |shape, scale| Gamma::<f64>::new(shape, scale).map_err(|error| anyhow!("{error}"));
    let (short, long) = (gamma(6.57, 0.823)?, gamma(639.1, 0.0156)?);
    let mut jobs = Vec::new();
    let mut gaps = Vec::new();
    while jobs.len() < n_jobs {
        let size = size(&mut rng, n_nodes);
        let is_short = rng.random_bool((0.6986 - 0.003 * f64::from(size)).clamp(0.0, 1.0));
        let log = if is_short { &short } else { &long }.sample(&mut rng);
        let runs = whole(log.exp()).max(1);
        if runs > LONGEST {
            continue;
        }
        let said = whole(runs as f64 * rng.random_range(1.0..MAX_OVERESTIMATE));
        let limit = LIMITS.into_iter().find(|limit| *limit >= said);
        gaps.push(Exp1.sample(&mut rng));
        jobs.push(Job {
            arrives: 0,
            n_nodes: size,
            runs,
            limit: limit.or(LIMITS.last().copied()).unwrap_or(runs),
        });
    }
    let work: f64 = jobs.iter().map(work).sum();
    let span = work / f64::from(n_nodes) * 100.0 / f64::from(load);
    let scale = span / gaps.iter().sum::<f64>();
    let mut now = 0.0;
    for (job, gap) in jobs.iter_mut().zip(gaps) {
        now += gap * scale;
        job.arrives = whole(now);
    }
    Ok(jobs)
}

fn size(rng: &mut ChaCha8Rng, n_nodes: u32) -> u32 {
    if rng.random_bool(0.2927) {
        return 1;
    }
    let high = f64::from(n_nodes).log2();
    let (low, medium) = (1.2, high - 2.5);
    let log: f64 = match rng.random_bool(0.7) {
        true => rng.random_range(low..medium),
        false => rng.random_range(medium..high),
    };
    let log = if rng.random_bool(0.6686) { log.round() } else { log };
    let size = whole(log.exp2());
    u32::try_from(size).unwrap_or(n_nodes).clamp(1, n_nodes)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times and sizes are positive, and a cast saturates"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

/// Node seconds.
fn work(job: &Job) -> f64 {
    f64::from(job.n_nodes) * job.runs as f64
}

/// What a scheduler made of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Outcome {
    /// In percent: nodes in use, over the time in which jobs arrive; what runs later counts for nothing.
    pub(super) utilisation: f64,
    /// Seconds.
    pub(super) mean_wait: f64,
    pub(super) p95_wait: f64,
    /// Wait and run time over run time, where runs shorter than 10 s count as that (Feitelson and Rudolph, 1998).
    pub(super) slowdown: f64,
}

impl Outcome {
    /// From when each job started.
    pub(super) fn of(jobs: &[Job], starts: &[u64], n_nodes: u32) -> Self {
        let end = jobs.iter().map(|job| job.arrives).max().unwrap_or(0);
        let in_use = |(job, start): (&Job, &u64)| {
            let ran = (start + job.runs).min(end).saturating_sub(*start);
            f64::from(job.n_nodes) * ran as f64
        };
        let used: f64 = jobs.iter().zip(starts).map(in_use).sum();
        let mut waits: Vec<f64> = jobs
            .iter()
            .zip(starts)
            .map(|(job, start)| (start - job.arrives) as f64)
            .collect();
        let slowdown = |(job, wait): (&Job, &f64)| {
            let runs = job.runs as f64;
            ((wait + runs) / runs.max(SHORT)).max(1.0)
        };
        let n = jobs.len() as f64;
        let slowdowns: f64 = jobs.iter().zip(&waits).map(slowdown).sum();
        waits.sort_by(f64::total_cmp);
        Self {
            utilisation: 100.0 * used / (f64::from(n_nodes) * end as f64),
            mean_wait: waits.iter().sum::<f64>() / n,
            p95_wait: crate::report::percentile(waits, 95),
            slowdown: slowdowns / n,
        }
    }
}
