//! `proffer job list`.

use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::views::JobSummaryView;

/// List jobs
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only jobs with such a label: team=x, team!=x (another, or none), team (any) or !team (none); may be given several
    /// times, and then all must hold
    #[arg(short, long, env = "PROFFER_LABEL", value_name = "CONDITION")]
    label: Vec<LabelCondition>,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let labels = args.label.iter().map(|condition| condition.0.clone());
        let request = v1::ListJobsRequest {
            labels: labels.collect(),
        };
        let answer = cluster.jobs().list_jobs(request).await;
        let jobs = answer.map_err(|status| refused(&status))?.into_inner().jobs;
        Ok(Rows(jobs.into_iter().map(JobSummaryView::from).collect()))
    })
    .await
}

/// What the labels of a job are to be like.
#[derive(Debug, Clone, PartialEq)]
struct LabelCondition(v1::JobLabelCondition);

impl FromStr for LabelCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, operator, value) = if let Some((key, value)) = text.split_once('=') {
            match key.strip_suffix('!') {
                Some(key) => (key, v1::JobLabelOperator::JobLabelDiffers, value),
                None => (key, v1::JobLabelOperator::JobLabelEquals, value),
            }
        } else if let Some(key) = text.strip_prefix('!') {
            (key, v1::JobLabelOperator::JobLabelAbsent, "")
        } else {
            (text, v1::JobLabelOperator::JobLabelExists, "")
        };
        if key.is_empty() {
            return Err(format!(
                "`{text}` names no label; write it like team=x, team!=x, team or !team"
            ));
        }
        Ok(Self(v1::JobLabelCondition {
            key: key.to_owned(),
            operator: operator.into(),
            value: value.to_owned(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_compares_a_label_or_asks_whether_there_is_one() {
        let read = |text: &str| {
            text.parse().map(|LabelCondition(condition)| {
                let operator = condition.operator();
                (condition.key, operator, condition.value)
            })
        };
        let of = |key: &str, operator, value: &str| Ok((key.to_owned(), operator, value.to_owned()));
        assert_eq!(
            read("team=x"),
            of("team", v1::JobLabelOperator::JobLabelEquals, "x")
        );
        assert_eq!(
            read("team=a=b"),
            of("team", v1::JobLabelOperator::JobLabelEquals, "a=b")
        );
        assert_eq!(
            read("team!=x"),
            of("team", v1::JobLabelOperator::JobLabelDiffers, "x")
        );
        assert_eq!(read("team"), of("team", v1::JobLabelOperator::JobLabelExists, ""));
        assert_eq!(
            read("!team"),
            of("team", v1::JobLabelOperator::JobLabelAbsent, "")
        );
        for wrong in ["", "!", "=x", "!=x"] {
            assert!(read(wrong).unwrap_err().contains("names no label"));
        }
    }
}
