//! What recurring jobs promise, held against what their tasks wrote and what was done to the cluster meanwhile.
//!
//! The workload is the one by which Jepsen found Chronos to run windows twice and never (Kingsbury, "Jepsen: Chronos",
//! 2015): jobs with a start, an interval, an epsilon and a duration; here with the ledger the scheduler keeps of them.
//! Pure: the test that runs it brings what was seen.

use std::collections::BTreeMap;

/// How late a task may write its first line after it was launched: a container's start on a machine with other work.
pub const FORGIVENESS_MS: u64 = 10_000;
/// Within so much of an epsilon without a fault a run is launched: an offer is made, used, and the next made.
pub const CALM_MS: u64 = 3_000;
/// How long a loss is heard of after the fault that caused it: an agent is waited for, and then it is reconciled.
const LOSS_MS: u64 = 120_000;

/// A recurring job, with what became of it.
#[derive(Debug, Clone, Default)]
pub struct Job {
    pub name: String,
    /// The first window.
    pub first_ms: u64,
    pub interval_ms: u64,
    pub epsilon_ms: u64,
    pub at_least_once: bool,
    pub skips_overlaps: bool,
    /// Of each window, when the task of a run wrote its first line; in order.
    pub starts: BTreeMap<u64, Vec<u64>>,
    /// The ledger: spans of windows, and the runs of single ones.
    pub ledger: Vec<Entry>,
    /// Launches beyond the first that the ledger counts.
    pub n_extra: u64,
}

/// One entry of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    pub first_ms: u64,
    pub last_ms: u64,
    /// Empty for a run.
    pub cause: String,
    pub why: String,
    /// Of a run: `finished`, ...
    pub state: String,
    pub n_lost: u64,
}

/// What a fault was done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    Etcd,
    Master,
    Framework,
    Agent,
    /// Nobody's doing: the host was so busy that a write took long.
    Host,
}

/// A fault, from when it was done until the whole cluster was seen to be well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub victim: Victim,
    pub from_ms: u64,
    pub to_ms: u64,
}

/// What was found of one or more jobs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub violations: Vec<String>,
    pub n_windows: u64,
    pub n_ran: u64,
    /// By cause.
    pub missed: BTreeMap<String, u64>,
    /// Their run was launched, and what became of it nobody knows.
    pub n_lost: u64,
    /// Starts of a window beyond its first.
    pub n_extra: u64,
}

impl Report {
    /// Adds what was found of a job up to a time by which all of its earlier windows were decided about.
    pub fn add(&mut self, job: &Job, until_ms: u64, faults: &[Fault]) {
        let step = usize::try_from(job.interval_ms.max(1)).unwrap_or(usize::MAX);
        for window in (job.first_ms..until_ms).step_by(step) {
            self.n_windows += 1;
            let problem = self.window(job, window, faults);
            let place = |problem| format!("{} at {window}: {problem}", job.name);
            self.violations.extend(problem.err().map(place));
        }
        let strange = job.starts.keys().filter(|window| {
            **window < job.first_ms || !(**window - job.first_ms).is_multiple_of(job.interval_ms.max(1))
        });
        self.violations
            .extend(strange.map(|window| format!("{} ran at {window}, which is no window", job.name)));
    }

    fn window(&mut self, job: &Job, window: u64, faults: &[Fault]) -> Result<(), String> {
        let starts = job.starts.get(&window).map_or(&[][..], Vec::as_slice);
        let entry = job
            .ledger
            .iter()
            .find(|entry| entry.first_ms <= window && window <= entry.last_ms);
        self.n_ran += u64::from(!starts.is_empty());
        self.n_extra += starts.len().saturating_sub(1) as u64;
        if starts.len() > 1 && !job.at_least_once {
            return Err(format!("ran {} times, from {starts:?}", starts.len()));
        }
        let entry = entry.ok_or("the ledger has no entry of it")?;
        match (starts.first(), entry.cause.as_str()) {
            (Some(start), "") if job.at_least_once || *start <= window + job.epsilon_ms + FORGIVENESS_MS => {
                Ok(())
            }
            (Some(start), "") => Err(format!("started {} ms late", start - window)),
            (Some(_), cause) => Err(format!("ran, and is said to be missed by {cause}: {}", entry.why)),
            (None, "") if entry.n_lost > 0 && !job.at_least_once => self.lost(window, job, faults),
            (None, "") => Err(format!("its run is {}, but no task of it was seen", entry.state)),
            (None, _) => self.missed(window, job, entry, faults),
        }
    }

    fn lost(&mut self, window: u64, job: &Job, faults: &[Fault]) -> Result<(), String> {
        self.n_lost += 1;
        match overlapping(faults, window, window + job.epsilon_ms + LOSS_MS).next() {
            Some(_) => Ok(()),
            None => Err("its task was lost without a fault".to_owned()),
        }
    }

    fn missed(&mut self, window: u64, job: &Job, entry: &Entry, faults: &[Fault]) -> Result<(), String> {
        *self.missed.entry(entry.cause.clone()).or_default() += 1;
        let deadline = window + job.epsilon_ms;
        let by = |victims: &[Victim]| {
            overlapping(faults, window, deadline).any(|fault| victims.contains(&fault.victim))
        };
        // What went down with the last launch may be an agent, or the master that was to tell it.
        let was_dropped = entry.why.contains("dropped");
        let is_true = match entry.cause.as_str() {
            // Without etcd nobody leads.
            "scheduler_away" => by(&[Victim::Framework, Victim::Etcd, Victim::Host]),
            "scheduler_stalled" => by(&[Victim::Host, Victim::Framework, Victim::Etcd]),
            "cut_off" => by(&[Victim::Etcd, Victim::Master, Victim::Framework, Victim::Host]),
            "no_room" if was_dropped => by(&[Victim::Agent, Victim::Master, Victim::Etcd]),
            "no_room" => overlapping(faults, window, deadline).next().is_some(),
            "still_running" => job.skips_overlaps && job.starts.keys().any(|earlier| *earlier < window),
            _ => false,
        };
        if !is_true {
            return Err(format!(
                "is said to be missed by {}, which is not so: {}",
                entry.cause, entry.why
            ));
        }
        if job.at_least_once && entry.cause != "still_running" {
            return Err(format!("missed by {}: {}", entry.cause, entry.why));
        }
        let calm = longest_calm(faults, window, deadline);
        match entry.cause.as_str() {
            "still_running" => Ok(()),
            _ if was_dropped || calm < CALM_MS => Ok(()),
            cause => Err(format!(
                "missed by {cause} for all of {calm} ms without a fault: {}",
                entry.why
            )),
        }
    }
}

fn overlapping(faults: &[Fault], from_ms: u64, to_ms: u64) -> impl Iterator<Item = &Fault> {
    let overlaps = move |fault: &&Fault| fault.from_ms <= to_ms && from_ms <= fault.to_ms;
    faults.iter().filter(overlaps)
}

/// The longest time between two moments in which everything was well; an agent that is gone leaves others with room.
fn longest_calm(faults: &[Fault], from_ms: u64, to_ms: u64) -> u64 {
    let mut matter: Vec<_> = overlapping(faults, from_ms, to_ms)
        .filter(|fault| fault.victim != Victim::Agent)
        .collect();
    matter.sort_by_key(|fault| fault.from_ms);
    let (mut longest, mut since) = (0, from_ms);
    for fault in matter {
        longest = longest.max(fault.from_ms.saturating_sub(since));
        since = since.max(fault.to_ms);
    }
    longest.max(to_ms.saturating_sub(since))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMEWORK_DOWN: Fault = Fault {
        victim: Victim::Framework,
        from_ms: 19_000,
        to_ms: 27_000,
    };

    fn run(window: u64) -> Entry {
        Entry {
            first_ms: window,
            last_ms: window,
            state: "finished".to_owned(),
            ..Entry::default()
        }
    }

    fn missed(window: u64, cause: &str) -> Entry {
        Entry {
            cause: cause.to_owned(),
            ..run(window)
        }
    }

    /// Windows at 10, 20 and 30 s, an epsilon of 5 s; all ran well.
    fn job() -> Job {
        let starts = [10_000, 20_000, 30_000];
        Job {
            name: "j".to_owned(),
            first_ms: 10_000,
            interval_ms: 10_000,
            epsilon_ms: 5_000,
            starts: starts.map(|window| (window, vec![window + 50])).into(),
            ledger: starts.map(run).to_vec(),
            ..Job::default()
        }
    }

    fn violations(job: &Job, faults: &[Fault]) -> Vec<String> {
        let mut report = Report::default();
        report.add(job, 40_000, faults);
        report.violations
    }

    #[test]
    fn a_job_whose_windows_all_ran_is_well() {
        let mut report = Report::default();
        report.add(&job(), 40_000, &[]);
        let expected = Report {
            n_windows: 3,
            n_ran: 3,
            ..Report::default()
        };
        assert_eq!(report, expected);
    }

    #[test]
    fn a_window_that_ran_twice_is_a_violation_unless_that_is_the_policy() {
        let mut job = job();
        job.starts.insert(20_000, vec![20_050, 24_000]);
        assert_eq!(
            violations(&job, &[FRAMEWORK_DOWN]),
            ["j at 20000: ran 2 times, from [20050, 24000]"]
        );
        job.at_least_once = true;
        assert_eq!(violations(&job, &[]), [""; 0]);
    }

    #[test]
    fn a_window_may_be_missed_only_by_a_fault_and_by_the_one_that_it_names() {
        let mut job = job();
        job.starts.remove(&20_000);
        job.ledger[1] = missed(20_000, "scheduler_away");
        assert_eq!(violations(&job, &[FRAMEWORK_DOWN]), [""; 0]);
        let lie = ["j at 20000: is said to be missed by scheduler_away, which is not so: "];
        assert_eq!(violations(&job, &[]), lie);
        let master = Fault {
            victim: Victim::Master,
            ..FRAMEWORK_DOWN
        };
        assert_eq!(violations(&job, &[master]), lie);
        let short = Fault {
            to_ms: 21_000,
            ..FRAMEWORK_DOWN
        };
        let lazy = ["j at 20000: missed by scheduler_away for all of 4000 ms without a fault: "];
        assert_eq!(violations(&job, &[short]), lazy);
        let agent = Fault {
            victim: Victim::Agent,
            ..FRAMEWORK_DOWN
        };
        job.ledger[1] = missed(20_000, "no_room");
        assert_eq!(violations(&job, &[agent]).len(), 1, "another agent had room");
    }

    #[test]
    fn a_window_without_an_entry_or_without_the_run_it_is_said_to_have_is_a_violation() {
        let mut job = job();
        job.starts.remove(&20_000);
        assert_eq!(
            violations(&job, &[]),
            ["j at 20000: its run is finished, but no task of it was seen"]
        );
        job.ledger[1].n_lost = 1;
        assert_eq!(
            violations(&job, &[]),
            ["j at 20000: its task was lost without a fault"]
        );
        assert_eq!(violations(&job, &[FRAMEWORK_DOWN]), [""; 0]);
        job.at_least_once = true;
        assert_eq!(violations(&job, &[FRAMEWORK_DOWN]).len(), 1);
        job.ledger.remove(1);
        assert_eq!(
            violations(&job, &[]),
            ["j at 20000: the ledger has no entry of it"]
        );
    }

    #[test]
    fn what_started_late_or_at_no_window_or_is_said_to_be_missed_is_a_violation() {
        let mut job = job();
        job.starts
            .insert(10_000, vec![10_000 + 5_000 + FORGIVENESS_MS + 1]);
        job.starts.insert(25_000, vec![25_000]);
        job.ledger[2] = missed(30_000, "scheduler_away");
        let expected = [
            "j at 10000: started 15001 ms late",
            "j at 30000: ran, and is said to be missed by scheduler_away: ",
            "j ran at 25000, which is no window",
        ];
        assert_eq!(violations(&job, &[FRAMEWORK_DOWN]), expected);
    }
}
