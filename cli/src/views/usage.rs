//! What attempts used, in sums.

use proffer_types::resources::format::format_size;
use proffer_wire::v1;
use proffer_wire::v1::report_jobs_response::Row as ReportRow;
use serde::Serialize;

use super::text::{State, grouped, percent, span_us, state_name};
use crate::output::{Answer, Column, left, render, right};

/// Sums over attempts that have ended, with what follows from them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct UsageView {
    #[serde(flatten)]
    sums: SumsView,
    /// Cpu time over the cpus asked for times the running time; absent where nothing is known.
    cpu_efficiency: Option<f64>,
    /// Memory high-waters over the memory asked for.
    mem_efficiency: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct SumsView {
    attempts: u64,
    finished: u64,
    /// Of which nobody knows what they used.
    unmeasured: u64,
    unmeasured_us: u64,
    waiting_ms: u64,
    longest_waiting_ms: u64,
    running_us: u64,
    cpu_time_us: u64,
    cpu_allocated_us: u64,
    mem_allocated_kib_s: u64,
    mem_peak_bytes: u64,
    mem_peaks_bytes: u64,
    mem_requested_bytes: u64,
    io_measured: u64,
    read_bytes: u64,
    write_bytes: u64,
}

impl From<v1::JobUsage> for UsageView {
    fn from(usage: v1::JobUsage) -> Self {
        Self {
            cpu_efficiency: share(usage.cpu_time_us, usage.cpu_allocated_us),
            mem_efficiency: share(usage.mem_peaks_bytes, usage.mem_requested_bytes),
            sums: SumsView {
                attempts: usage.attempts,
                finished: usage.finished,
                unmeasured: usage.unmeasured,
                unmeasured_us: usage.unmeasured_us,
                waiting_ms: usage.waiting_ms,
                longest_waiting_ms: usage.longest_waiting_ms,
                running_us: usage.running_us,
                cpu_time_us: usage.cpu_time_us,
                cpu_allocated_us: usage.cpu_allocated_us,
                mem_allocated_kib_s: usage.mem_allocated_kib_s,
                mem_peak_bytes: usage.mem_peak_bytes,
                mem_peaks_bytes: usage.mem_peaks_bytes,
                mem_requested_bytes: usage.mem_requested_bytes,
                io_measured: usage.io_measured,
                read_bytes: usage.read_bytes,
                write_bytes: usage.write_bytes,
            },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to a tenth of a percent")]
fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

/// Adds what another row has.
fn add(sum: &mut v1::JobUsage, other: &v1::JobUsage) {
    let numbers = [
        (&mut sum.attempts, other.attempts),
        (&mut sum.finished, other.finished),
        (&mut sum.unmeasured, other.unmeasured),
        (&mut sum.unmeasured_us, other.unmeasured_us),
        (&mut sum.waiting_ms, other.waiting_ms),
        (&mut sum.running_us, other.running_us),
        (&mut sum.cpu_time_us, other.cpu_time_us),
        (&mut sum.cpu_allocated_us, other.cpu_allocated_us),
        (&mut sum.mem_allocated_kib_s, other.mem_allocated_kib_s),
        (&mut sum.mem_peaks_bytes, other.mem_peaks_bytes),
        (&mut sum.mem_requested_bytes, other.mem_requested_bytes),
        (&mut sum.io_measured, other.io_measured),
        (&mut sum.read_bytes, other.read_bytes),
        (&mut sum.write_bytes, other.write_bytes),
    ];
    for (number, more) in numbers {
        *number = number.saturating_add(more);
    }
    sum.longest_waiting_ms = sum.longest_waiting_ms.max(other.longest_waiting_ms);
    sum.mem_peak_bytes = sum.mem_peak_bytes.max(other.mem_peak_bytes);
}

impl UsageView {
    const COLUMNS: [Column; 13] = [
        right("ATTEMPTS"),
        right("LOST").if_any(),
        right("WAIT"),
        right("MAX WAIT"),
        right("RAN"),
        right("CPU"),
        right("CPU EFF"),
        right("PEAK MEM"),
        right("MEM EFF"),
        right("READ").if_any(),
        right("WRITTEN").if_any(),
        right("CPU HOURS"),
        right("GIB HOURS"),
    ];

    fn cells(&self) -> [String; 13] {
        let sums = &self.sums;
        let if_measured = |text: String| match sums.attempts > sums.unmeasured {
            true => text,
            false => "-".to_owned(),
        };
        let if_io = |bytes| match sums.io_measured {
            0 => String::new(),
            _ => format_size(bytes),
        };
        let if_any = |n: u64| if n == 0 { String::new() } else { grouped(n) };
        [
            grouped(sums.attempts),
            if_any(sums.unmeasured),
            self.mean_wait(),
            span_us(sums.longest_waiting_ms.saturating_mul(1000)),
            if_measured(span_us(sums.running_us)),
            if_measured(span_us(sums.cpu_time_us)),
            efficiency(self.cpu_efficiency),
            if_measured(format_size(sums.mem_peak_bytes)),
            efficiency(self.mem_efficiency),
            if_io(sums.read_bytes),
            if_io(sums.write_bytes),
            if_measured(hours(sums.cpu_allocated_us / 1000)),
            if_measured(hours(sums.mem_allocated_kib_s.saturating_mul(1000) >> 20)),
        ]
    }

    /// Of one attempt.
    fn mean_wait(&self) -> String {
        let wait = self.sums.waiting_ms.checked_div(self.sums.attempts);
        wait.map_or_else(|| "-".to_owned(), |ms| span_us(ms.saturating_mul(1000)))
    }

    /// `12 attempts ran 3h12m, cpu 2h1m (63.1%), peak mem 1.2GiB (30.2%), waited 2.1s each, wrote 5GiB`: one line.
    pub(crate) fn line(&self) -> String {
        let sums = &self.sums;
        let mut parts = vec![
            format!(
                "{} attempts ran {}",
                grouped(sums.attempts),
                span_us(sums.running_us)
            ),
            format!(
                "cpu {} ({})",
                span_us(sums.cpu_time_us),
                efficiency(self.cpu_efficiency)
            ),
            format!(
                "peak mem {} ({})",
                format_size(sums.mem_peak_bytes),
                efficiency(self.mem_efficiency)
            ),
        ];
        if sums.io_measured > 0 {
            parts.push(format!("read {}", format_size(sums.read_bytes)));
            parts.push(format!("wrote {}", format_size(sums.write_bytes)));
        }
        parts.push(format!("waited {} each", self.mean_wait()));
        if sums.unmeasured > 0 {
            parts.push(format!("{} lost", grouped(sums.unmeasured)));
        }
        parts.join(", ")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the value is only shown"
)]
fn efficiency(share: Option<f64>) -> String {
    share.map_or_else(
        || "-".to_owned(),
        |share| percent((share * 1000.0).round() as u32),
    )
}

/// Milliseconds times something, in hours of it.
fn hours(ms: u64) -> String {
    let hundredths = ms / 36_000;
    format!("{}.{:02}", grouped(hundredths / 100), hundredths % 100)
}

/// A report: rows of one kind, and their sum.
#[derive(Debug, Serialize)]
pub(crate) struct ReportView {
    #[serde(skip)]
    title: &'static str,
    rows: Vec<ReportRowView>,
    total: UsageView,
}

#[derive(Debug, Serialize)]
struct ReportRowView {
    name: String,
    /// These of a job.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
    #[serde(flatten)]
    usage: UsageView,
}

impl ReportView {
    /// Of rows that stand for what the title says.
    pub(crate) fn new(title: &'static str, rows: Vec<ReportRow>) -> Self {
        let mut total = v1::JobUsage::default();
        for row in &rows {
            add(&mut total, &row.usage.unwrap_or_default());
        }
        Self {
            title,
            rows: rows.into_iter().map(ReportRowView::from).collect(),
            total: total.into(),
        }
    }
}

impl From<ReportRow> for ReportRowView {
    fn from(row: ReportRow) -> Self {
        let is_job = row.state() != v1::JobState::Unspecified;
        Self {
            state: is_job.then(|| state_name(row.state().as_str_name(), "JOB_")),
            name: row.name,
            role: is_job.then_some(row.role),
            user: is_job.then_some(row.user),
            usage: row.usage.unwrap_or_default().into(),
        }
    }
}

impl Answer for ReportView {
    fn text(&self, width: usize) -> String {
        let columns = [
            left(self.title),
            left("ROLE").if_any(),
            left("USER").if_any(),
            left("STATE").if_any(),
        ];
        let columns: Vec<_> = columns.into_iter().chain(UsageView::COLUMNS).collect();
        let cells = |row: &ReportRowView| {
            let name = if row.name.is_empty() { "-" } else { &row.name };
            let or_none = |text: &Option<String>| text.clone().unwrap_or_default();
            let state = row.state.as_ref().map(ToString::to_string);
            let head = [
                name.to_owned(),
                or_none(&row.role),
                or_none(&row.user),
                or_none(&state),
            ];
            head.into_iter().chain(row.usage.cells()).collect::<Vec<_>>()
        };
        let mut rows: Vec<_> = self.rows.iter().map(cells).collect();
        if rows.len() > 1 {
            let head = ["total".to_owned(), String::new(), String::new(), String::new()];
            rows.push(head.into_iter().chain(self.total.cells()).collect());
        }
        render(&columns, &rows, width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(attempts: u64) -> v1::JobUsage {
        v1::JobUsage {
            attempts,
            finished: attempts,
            waiting_ms: 1500 * attempts,
            longest_waiting_ms: 61_000,
            running_us: 8_000_000_000,
            cpu_time_us: 7_000_000_000,
            cpu_allocated_us: 16_000_000_000,
            mem_allocated_kib_s: 8000 << 20,
            mem_peak_bytes: 1536 << 20,
            mem_peaks_bytes: 2000 << 20,
            mem_requested_bytes: 4000 << 20,
            io_measured: attempts,
            read_bytes: 5 << 30,
            write_bytes: 1,
            ..v1::JobUsage::default()
        }
    }

    /// The words of each line.
    fn lines(report: &ReportView) -> Vec<String> {
        let text = report.text(400);
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        text.lines().map(words).collect()
    }

    #[test]
    fn a_report_has_units_for_people_and_a_sum() {
        let row = |name: &str, usage| ReportRow {
            name: name.to_owned(),
            role: "eng".to_owned(),
            user: "ada".to_owned(),
            state: v1::JobState::JobFinished.into(),
            usage: Some(usage),
        };
        let lost = v1::JobUsage {
            attempts: 1,
            unmeasured: 1,
            ..Default::default()
        };
        let rows = vec![row("scan", usage(2000)), row("lost", lost)];
        assert_eq!(
            lines(&ReportView::new("JOB", rows)),
            [
                "JOB ROLE USER STATE ATTEMPTS LOST WAIT MAX WAIT RAN CPU CPU EFF PEAK MEM MEM EFF READ WRITTEN CPU HOURS GIB HOURS",
                "scan eng ada FINISHED 2,000 1.5s 1m1s 2h13m 1h56m 43.8% 1.5GiB 50.0% 5GiB 1B 4.44 2.22",
                "lost eng ada FINISHED 1 1 0us 0us - - - - - - -",
                "total 2,001 1 1.4s 1m1s 2h13m 1h56m 43.8% 1.5GiB 50.0% 5GiB 1B 4.44 2.22",
            ]
        );
        assert_eq!(
            UsageView::from(usage(12)).line(),
            "12 attempts ran 2h13m, cpu 1h56m (43.8%), peak mem 1.5GiB (50.0%), read 5GiB, wrote 1B, waited 1.5s each"
        );
    }

    #[test]
    fn what_is_of_no_job_has_no_columns_of_one() {
        let row = ReportRow {
            usage: Some(v1::JobUsage::default()),
            ..ReportRow::default()
        };
        assert_eq!(
            lines(&ReportView::new("USER", vec![row])),
            [
                "USER ATTEMPTS WAIT MAX WAIT RAN CPU CPU EFF PEAK MEM MEM EFF CPU HOURS GIB HOURS",
                "- 0 - 0us - - - - - - -",
            ]
        );
    }
}
