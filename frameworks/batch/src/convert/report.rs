//! Reports of what was used.

use proffer_batch_core::{ReportBy, ReportQuery, ReportRow};
use proffer_types::Timestamp;
use proffer_wire::{ConvertError, v1};

use super::job_state;

/// Which attempts a client asks for.
pub(crate) fn query(request: &v1::ReportJobsRequest) -> Result<ReportQuery, ConvertError> {
    let by = match v1::JobReportBy::try_from(request.by) {
        Ok(v1::JobReportBy::Unspecified | v1::JobReportBy::Job) => ReportBy::Job,
        Ok(v1::JobReportBy::User) => ReportBy::User,
        Ok(v1::JobReportBy::Role) => ReportBy::Role,
        Ok(v1::JobReportBy::Day) => ReportBy::Day,
        Err(_) => {
            return Err(ConvertError::new(
                "by",
                format!("{} is no way to report", request.by),
            ));
        }
    };
    Ok(ReportQuery {
        by,
        since: Timestamp(request.since_ms),
        until: Timestamp(match request.until_ms {
            0 => u64::MAX,
            until => until,
        }),
    })
}

pub(crate) fn report(rows: Vec<ReportRow>) -> v1::ReportJobsResponse {
    let row = |row: ReportRow| {
        let (role, user, state) = row
            .job
            .map(|(role, user, state)| (role, user, job_state(state)))
            .unwrap_or_default();
        v1::report_jobs_response::Row {
            name: row.name,
            role,
            user,
            state: state.into(),
            usage: Some(row.sums.into()),
        }
    };
    v1::ReportJobsResponse {
        rows: rows.into_iter().map(row).collect(),
    }
}
