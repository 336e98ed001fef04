//! A job at a glance: how far it is, and of what failed or runs a few, whatever its size.

use std::fmt::Write as _;

use console::{Style, truncate_str};
use proffer_wire::v1;

use super::{InstanceView, JobView};
use crate::output::{Answer as _, Column, left, printable, render, right};
use crate::views::text::{ago, grouped, took};

/// Jobs up to this size are shown whole, a line for each instance: they fit on a screen.
pub(crate) const MAX_SHOWN_WHOLE: u64 = 20;
/// The most tasks with a line each; those of a larger job are counted by state.
const MAX_TASK_LINES: usize = 40;
/// How many tasks of one state are named.
const MAX_NAMED: usize = 4;
/// The width of a bar, in terminal columns.
const BAR: u32 = 24;
/// What takes room beside a bar; a narrower terminal has none.
const WIDTH_WITHOUT_BAR: usize = 70;
/// Before a line of a task's own.
const MARGIN: &str = "    | ";

/// What a person sees first.
#[derive(Debug)]
pub(crate) struct Glance {
    /// With the instances that are shown whole, if they are.
    job: JobView,
    counts: Vec<(String, v1::JobTaskCounts)>,
    failed: Vec<Trouble>,
    retrying: Vec<Trouble>,
    running: Vec<InstanceView>,
}

/// An instance that failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) instance: v1::JobTaskInstance,
    /// The last lines of its stderr, or why they cannot be read; absent where it has none that anybody asked for.
    pub(crate) stderr: Option<Result<String, String>>,
}

/// What is known of a job, for [`Glance::new`].
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) job: v1::Job,
    /// A few of those that failed for good.
    pub(crate) failed: Vec<Trouble>,
    /// A few of those that wait for a retry.
    pub(crate) retrying: Vec<Trouble>,
    /// A few of those that run.
    pub(crate) running: Vec<v1::JobTaskInstance>,
}

/// Colours, where a terminal shows them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ink {
    is_on: bool,
}

impl Ink {
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self { is_on: false };

    /// Colours, unless whoever reads stdout does not want any.
    pub(crate) fn of_stdout() -> Self {
        Self {
            is_on: console::colors_enabled(),
        }
    }

    fn paint(self, style: Style, text: &str) -> String {
        style.force_styling(self.is_on).apply_to(text).to_string()
    }

    /// The name of a state in its colour.
    pub(crate) fn state(self, state: &str, text: &str) -> String {
        let style = match state {
            "FINISHED" => Style::new().green(),
            "FAILED" => Style::new().red().bold(),
            "RUNNING" => Style::new().cyan(),
            "DELAYED" | "SUSPENDED" => Style::new().yellow(),
            _ => Style::new(),
        };
        self.paint(style, text)
    }

    /// What matters less.
    pub(crate) fn dim(self, text: &str) -> String {
        self.paint(Style::new().dim(), text)
    }
}

/// Sums over tasks of a job.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Sums {
    waiting: u64,
    running: u64,
    suspended: u64,
    delayed: u64,
    finished: u64,
    failed: u64,
    cancelled: u64,
}

impl Sums {
    fn of<'a>(counts: impl IntoIterator<Item = &'a v1::JobTaskCounts>) -> Self {
        let mut sums = Self::default();
        for counts in counts {
            sums.waiting += u64::from(counts.blocked) + u64::from(counts.waiting);
            sums.running += u64::from(counts.running);
            sums.suspended += u64::from(counts.suspended);
            sums.delayed += u64::from(counts.delayed);
            sums.finished += u64::from(counts.finished);
            sums.failed += u64::from(counts.failed);
            sums.cancelled += u64::from(counts.cancelled);
        }
        sums
    }

    fn n(self) -> u64 {
        let open = self.waiting + self.running + self.suspended + self.delayed;
        open + self.finished + self.failed + self.cancelled
    }

    /// `40 of 100 finished, 8 running, 52 waiting`.
    fn text(self) -> String {
        let mut text = format!("{} of {} finished", grouped(self.finished), grouped(self.n()));
        let others = [
            (self.running, "running"),
            (self.suspended, "suspended"),
            (self.waiting, "waiting"),
            (self.delayed, "waiting for a retry"),
            (self.failed, "failed"),
            (self.cancelled, "cancelled"),
        ];
        for (n, word) in others.into_iter().filter(|(n, _)| *n > 0) {
            let _ = write!(text, ", {} {word}", grouped(n));
        }
        text
    }

    /// What a task is as a whole.
    fn state(self) -> &'static str {
        match self {
            Self { running: 1.., .. } => "RUNNING",
            Self { suspended: 1.., .. } => "SUSPENDED",
            Self { failed: 1.., .. } => "FAILED",
            Self { delayed: 1.., .. } => "DELAYED",
            Self { waiting: 1.., .. } => "WAITING",
            Self { cancelled: 1.., .. } => "CANCELLED",
            Self { .. } => "FINISHED",
        }
    }

    /// Finished, failed, running and the rest as parts of one line. What there is of any is seen.
    fn bar(self) -> String {
        let n = self.n().max(1);
        let part = |n_of: u64| match n_of * u64::from(BAR) / n {
            0 => usize::from(n_of > 0),
            cells => usize::try_from(cells).unwrap_or_default(),
        };
        let ended = self.failed + self.cancelled;
        let parts = [
            (self.finished, '█'),
            (ended, '×'),
            (self.running + self.suspended, '▒'),
        ];
        let bar: String = parts
            .into_iter()
            .flat_map(|(n_of, cell)| std::iter::repeat_n(cell, part(n_of)))
            .chain(std::iter::repeat('·'))
            .take(BAR as usize)
            .collect();
        bar
    }
}

impl Glance {
    pub(crate) fn new(seen: Seen) -> Self {
        let names = seen.job.spec.iter().flat_map(|spec| &spec.tasks);
        let names = names.map(|task| match task.count {
            0 | 1 => task.name.clone(),
            _ => format!("{}[]", task.name),
        });
        let counts = names.zip(seen.job.counts.iter().copied()).collect();
        let count = super::counts_of(seen.job.spec.as_ref());
        let running = seen.running.into_iter();
        Self {
            counts,
            running: running
                .map(|instance| InstanceView::new(instance, &count))
                .collect(),
            job: seen.job.into(),
            failed: seen.failed,
            retrying: seen.retrying,
        }
    }

    /// Lines of at most `width` columns.
    pub(crate) fn text(&self, width: usize, ink: Ink) -> String {
        if self.job.recurrence.is_some() || self.job.template.is_some() {
            return self.job.text(width);
        }
        let sums = Sums::of(self.counts.iter().map(|(_, counts)| counts));
        let mut text = self.head(sums, ink) + &self.job.before() + &self.job.usage_line();
        if self.is_whole(sums) {
            text += &self.job.table(width);
        } else if self.counts.len() <= MAX_TASK_LINES {
            text += &self.task_lines(width);
        } else {
            text += &self.by_state(width);
        }
        self.troubles(&mut text, "FAILED", &self.failed, sums.failed, width, ink);
        self.troubles(&mut text, "DELAYED", &self.retrying, sums.delayed, width, ink);
        if !self.is_whole(sums) {
            self.running(&mut text, sums.running, width, ink);
        }
        text
    }

    fn is_whole(&self, sums: Sums) -> bool {
        self.job.tasks.len() as u64 == sums.n()
    }

    fn head(&self, sums: Sums, ink: Ink) -> String {
        let job = &self.job;
        let state = job.state.to_string();
        format!(
            "job {}  {}{}  role {}  submitted {}  took {}  {}\n",
            job.name,
            ink.state(&state, &state),
            if job.held { " (held)" } else { "" },
            job.role,
            ago(job.submitted_ms),
            took(job.submitted_ms, job.ended_ms),
            sums.text(),
        )
    }

    fn task_lines(&self, width: usize) -> String {
        const COLUMNS: &[Column] = &[
            left("TASK"),
            left("PROGRESS").if_any(),
            right("FINISHED"),
            right("RUNNING"),
            right("SUSPENDED").if_any(),
            right("WAITING"),
            right("RETRYING").if_any(),
            right("FAILED").if_any(),
            right("CANCELLED").if_any(),
        ];
        let has_bar = width >= WIDTH_WITHOUT_BAR + BAR as usize && width < usize::MAX;
        let some = |n: u64| match n {
            0 => String::new(),
            n => grouped(n),
        };
        let cells = |(name, counts): &(String, v1::JobTaskCounts)| {
            let sums = Sums::of([counts]);
            vec![
                name.clone(),
                if has_bar { sums.bar() } else { String::new() },
                format!("{}/{}", grouped(sums.finished), grouped(sums.n())),
                grouped(sums.running),
                some(sums.suspended),
                grouped(sums.waiting),
                some(sums.delayed),
                some(sums.failed),
                some(sums.cancelled),
            ]
        };
        let rows: Vec<_> = self.counts.iter().map(cells).collect();
        render(COLUMNS, &rows, width)
    }

    /// Tasks of a large job, counted by what they are as a whole.
    fn by_state(&self, width: usize) -> String {
        const COLUMNS: &[Column] = &[left("STATE"), right("TASKS"), right("INSTANCES"), left("SUCH AS")];
        const STATES: [&str; 7] = [
            "RUNNING",
            "SUSPENDED",
            "FAILED",
            "DELAYED",
            "WAITING",
            "CANCELLED",
            "FINISHED",
        ];
        let tasks = self.counts.iter();
        let tasks: Vec<_> = tasks.map(|(name, counts)| (name, Sums::of([counts]))).collect();
        let row = |state: &&str| {
            let of_state: Vec<_> = tasks.iter().filter(|(_, sums)| sums.state() == *state).collect();
            let n: u64 = of_state.iter().map(|(_, sums)| sums.n()).sum();
            let names = of_state.iter().take(MAX_NAMED).map(|(name, _)| name.as_str());
            let mut such_as = names.collect::<Vec<_>>().join(", ");
            if of_state.len() > MAX_NAMED {
                such_as += ", ...";
            }
            let n_tasks = of_state.len();
            (n_tasks > 0).then(|| vec![(*state).to_owned(), grouped(n_tasks as u64), grouped(n), such_as])
        };
        let rows: Vec<_> = STATES.iter().filter_map(row).collect();
        render(COLUMNS, &rows, width)
    }

    fn troubles(&self, text: &mut String, state: &str, shown: &[Trouble], n: u64, width: usize, ink: Ink) {
        if shown.is_empty() {
            return;
        }
        let title = match state {
            "DELAYED" => "waiting for a retry",
            _ => "failed",
        };
        let _ = writeln!(text, "\n{}", ink.state(state, title));
        for Trouble { instance, stderr } in shown {
            let view = InstanceView::new(instance.clone(), &self.job.count());
            let status = view.latest_status.as_ref();
            let mut line = format!(
                "  {}  exit {}",
                view.shown_name,
                status.map_or_else(|| "-".to_owned(), |status| status.exit())
            );
            if let Some(status) = status {
                let _ = write!(line, "  after {}", status.usage()[0]);
                let _ = write!(line, "  {}", printable(&status.why()));
            }
            if view.attempts > 1 {
                let _ = write!(line, "  (attempt {})", view.attempts);
            }
            let _ = writeln!(text, "{}", truncate_str(line.trim_end(), width, "…"));
            match stderr {
                None => {}
                Some(Ok(lines)) if lines.trim().is_empty() => {
                    let _ = writeln!(text, "{}", ink.dim("    (its stderr is empty)"));
                }
                Some(Ok(lines)) => quote(text, lines, width, ink),
                Some(Err(why)) => {
                    let why = format!("    (its stderr cannot be read: {})", printable(why));
                    let _ = writeln!(text, "{}", ink.dim(&truncate_str(&why, width, "…")));
                }
            }
        }
        self.more(text, shown.len(), n, state, ink);
    }

    fn running(&self, text: &mut String, n: u64, width: usize, ink: Ink) {
        if self.running.is_empty() {
            return;
        }
        let _ = writeln!(text, "\n{}", ink.state("RUNNING", "running"));
        for view in &self.running {
            let mut line = format!("  {}", view.shown_name);
            if let Some(status) = &view.latest_status {
                let _ = write!(
                    line,
                    "  {}, {}",
                    status.state.to_string().to_lowercase(),
                    ago(status.timestamp_ms)
                );
            }
            if view.attempts > 1 {
                let _ = write!(line, "  (attempt {})", view.attempts);
            }
            let _ = writeln!(text, "{}", truncate_str(&line, width, "…"));
        }
        self.more(text, self.running.len(), n, "RUNNING", ink);
    }

    fn more(&self, text: &mut String, n_shown: usize, n: u64, state: &str, ink: Ink) {
        let left = n.saturating_sub(n_shown as u64);
        if left > 0 {
            let more = format!(
                "  ... and {} more: `proffer job status {} --state {}`",
                grouped(left),
                self.job.name,
                state.to_lowercase(),
            );
            let _ = writeln!(text, "{}", ink.dim(&more));
        }
    }
}

/// Lines of a task, which may be anything, set apart from ours.
fn quote(text: &mut String, lines: &str, width: usize, ink: Ink) {
    for line in lines.lines() {
        let line = format!("{MARGIN}{}", printable(line));
        let _ = writeln!(text, "{}", ink.dim(&truncate_str(&line, width, "…")));
    }
}

#[cfg(test)]
mod tests;
