//! What a client asks of the labels of jobs.

use proffer_batch_core::{LabelCondition, LabelIs};
use proffer_wire::text::MAX_LABELS;
use proffer_wire::{ConvertError, v1};

/// Checks what is asked: no more conditions than a job may have labels.
pub(crate) fn labels(conditions: Vec<v1::JobLabelCondition>) -> Result<Vec<LabelCondition>, ConvertError> {
    let n = conditions.len();
    if n > MAX_LABELS {
        let problem = format!("{n} conditions, at most {MAX_LABELS} are allowed");
        return Err(ConvertError::new("labels", problem));
    }
    let conditions = conditions.into_iter().enumerate();
    let condition =
        |(index, message)| condition(message).map_err(|error| error.under(format_args!("labels[{index}]")));
    conditions.map(condition).collect()
}

fn condition(message: v1::JobLabelCondition) -> Result<LabelCondition, ConvertError> {
    let operator = v1::JobLabelOperator::try_from(message.operator);
    let is = match operator.map_err(|error| ConvertError::new("operator", error))? {
        v1::JobLabelOperator::Unspecified => {
            return Err(ConvertError::new("operator", "is missing"));
        }
        v1::JobLabelOperator::JobLabelExists => LabelIs::Present,
        v1::JobLabelOperator::JobLabelAbsent => LabelIs::Absent,
        v1::JobLabelOperator::JobLabelEquals => LabelIs::Equal(message.value),
        v1::JobLabelOperator::JobLabelDiffers => LabelIs::Different(message.value),
    };
    let key = message.key;
    Ok(LabelCondition { key, is })
}
