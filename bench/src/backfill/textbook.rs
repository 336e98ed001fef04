//! FCFS, and EASY backfill, by the book, over nodes that are all alike.
//!
//! EASY (Lifka, "The ANL/IBM SP scheduling system", JSSPP 1995): the first job that does not fit has a reservation at the earliest
//! time at which enough nodes are free, if those that run take as long as they said. A job behind it may start at once if it will
//! have ended by then, or takes nodes that are to spare even then.

use std::collections::BTreeSet;

use super::trace::Job;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    Fcfs,
    Easy,
}

struct Machine<'a> {
    jobs: &'a [Job],
    free: u32,
    /// By when it will have ended at the latest, as far as anybody knows: its limit.
    running: BTreeSet<(u64, usize)>,
    /// By when it ends.
    ends: BTreeSet<(u64, usize)>,
    starts: Vec<u64>,
}

/// When each job starts.
pub(super) fn run(rule: Rule, jobs: &[Job], n_nodes: u32) -> Vec<u64> {
    let mut machine = Machine {
        jobs,
        free: n_nodes,
        running: BTreeSet::new(),
        ends: BTreeSet::new(),
        starts: vec![0; jobs.len()],
    };
    let mut queue: Vec<usize> = Vec::new();
    let mut arrivals = jobs.iter().map(|job| job.arrives).enumerate().peekable();
    loop {
        let arrival = arrivals.peek().map(|(_, at)| *at);
        let end = machine.ends.first().map(|(at, _)| *at);
        let Some(now) = [arrival, end].into_iter().flatten().min() else {
            return machine.starts;
        };
        machine.end_until(now);
        while let Some((job, _)) = arrivals.next_if(|(_, at)| *at <= now) {
            queue.push(job);
        }
        machine.start_heads(now, &mut queue);
        if rule == Rule::Easy {
            machine.backfill(now, &mut queue);
        }
    }
}

impl Machine<'_> {
    fn end_until(&mut self, now: u64) {
        while let Some((at, job)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            self.ends.remove(&(at, job));
            self.running
                .remove(&(self.starts[job] + self.jobs[job].limit, job));
            self.free += self.jobs[job].n_nodes;
        }
    }

    fn start(&mut self, now: u64, job: usize) {
        let Job {
            n_nodes, runs, limit, ..
        } = self.jobs[job];
        self.free -= n_nodes;
        self.starts[job] = now;
        self.ends.insert((now + runs, job));
        self.running.insert((now + limit, job));
    }

    fn start_heads(&mut self, now: u64, queue: &mut Vec<usize>) {
        let fits = |free: &mut u32, job: &usize| {
            let left = free.checked_sub(self.jobs[*job].n_nodes);
            left.map(|left| *free = left)
        };
        let mut free = self.free;
        let n = queue.iter().map_while(|job| fits(&mut free, job)).count();
        let heads: Vec<_> = queue.drain(..n).collect();
        heads.into_iter().for_each(|job| self.start(now, job));
    }

    /// The head does not fit.
    fn backfill(&mut self, now: u64, queue: &mut Vec<usize>) {
        let Some(head) = queue.first() else {
            return;
        };
        let (shadow, mut spare) = self.reservation(self.jobs[*head].n_nodes);
        let mut kept = Vec::new();
        for job in queue.drain(..) {
            let Job { n_nodes, limit, .. } = self.jobs[job];
            let in_time = now + limit <= shadow;
            if !kept.is_empty() && n_nodes <= self.free && (in_time || n_nodes <= spare) {
                if !in_time {
                    spare -= n_nodes;
                }
                self.start(now, job);
            } else {
                kept.push(job);
            }
        }
        *queue = kept;
    }

    /// The earliest time at which so many nodes are free, as far as anybody knows, and how many more are free then.
    fn reservation(&self, n_nodes: u32) -> (u64, u32) {
        let mut free = self.free;
        let mut running = self.running.iter().peekable();
        while let Some((at, job)) = running.next() {
            free += self.jobs[*job].n_nodes;
            let are_more = running.peek().is_some_and(|(next, _)| next == at);
            if free >= n_nodes && !are_more {
                return (*at, free - n_nodes);
            }
        }
        (u64::MAX, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(arrives: u64, n_nodes: u32, runs: u64, limit: u64) -> Job {
        Job {
            arrives,
            n_nodes,
            runs,
            limit,
        }
    }

    #[test]
    fn fcfs_starts_nothing_before_the_head() {
        let jobs = [job(0, 3, 100, 100), job(1, 4, 10, 10), job(2, 1, 10, 10)];
        assert_eq!(run(Rule::Fcfs, &jobs, 4), [0, 100, 110]);
    }

    #[test]
    fn easy_starts_what_ends_before_the_reservation_or_needs_none_of_its_nodes() {
        // The second waits for all; the third is over by 100, the fourth is not.
        let jobs = [
            job(0, 3, 100, 100),
            job(1, 4, 10, 10),
            job(2, 1, 90, 90),
            job(3, 1, 90, 98),
        ];
        assert_eq!(run(Rule::Easy, &jobs, 4), [0, 100, 2, 110]);
        // The second waits for three, so one is to spare.
        let jobs = [job(0, 3, 100, 100), job(1, 3, 10, 10), job(2, 1, 500, 500)];
        assert_eq!(run(Rule::Easy, &jobs, 4), [0, 100, 2]);
    }

    #[test]
    fn easy_knows_limits_and_not_run_times() {
        // The first ends at 50; the third could have delayed the second only if it took its limit.
        let jobs = [job(0, 3, 50, 100), job(1, 4, 10, 10), job(2, 1, 60, 90)];
        assert_eq!(run(Rule::Easy, &jobs, 4), [0, 62, 2]);
    }
}
