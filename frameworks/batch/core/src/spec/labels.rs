//! The labels of a job, and what may be asked of them.

use std::collections::BTreeMap;

use crate::JobSpec;

/// What the labels of a job are to be like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCondition {
    pub key: String,
    pub is: LabelIs,
}

/// How a label is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelIs {
    Present,
    Absent,
    Equal(String),
    /// Another value, or absent.
    Different(String),
}

impl LabelCondition {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match &self.is {
            LabelIs::Present => value.is_some(),
            LabelIs::Absent => value.is_none(),
            LabelIs::Equal(wanted) => value == Some(wanted),
            LabelIs::Different(unwanted) => value != Some(unwanted),
        }
    }
}

impl JobSpec {
    /// Whether all of these hold of its labels; nothing is asked by none.
    #[must_use]
    pub fn has_labels(&self, conditions: &[LabelCondition]) -> bool {
        conditions.iter().all(|condition| condition.holds(&self.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_without_a_label_differs_from_every_value_and_equals_none() {
        let spec = JobSpec {
            labels: [("team".to_owned(), "x".to_owned())].into(),
            ..JobSpec::default()
        };
        let holds = |key: &str, is| {
            let key = key.to_owned();
            spec.has_labels(&[LabelCondition { key, is }])
        };
        let [x, y] = ["x", "y"].map(str::to_owned);
        assert!(holds("team", LabelIs::Present) && !holds("team", LabelIs::Absent));
        assert!(!holds("tier", LabelIs::Present) && holds("tier", LabelIs::Absent));
        assert!(holds("team", LabelIs::Equal(x.clone())) && !holds("team", LabelIs::Equal(y.clone())));
        assert!(!holds("team", LabelIs::Different(x)) && holds("team", LabelIs::Different(y.clone())));
        assert!(!holds("tier", LabelIs::Equal(y.clone())) && holds("tier", LabelIs::Different(y)));
        assert!(spec.has_labels(&[]));
    }

    #[test]
    fn all_that_is_asked_must_hold() {
        let labels = [("team", "x"), ("tier", "1")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let spec = JobSpec {
            labels: labels.into(),
            ..JobSpec::default()
        };
        let ask = |key: &str, is| LabelCondition {
            key: key.to_owned(),
            is,
        };
        let both = [
            ask("team", LabelIs::Present),
            ask("tier", LabelIs::Equal("1".to_owned())),
        ];
        assert!(spec.has_labels(&both));
        let one = [ask("team", LabelIs::Present), ask("tier", LabelIs::Absent)];
        assert!(!spec.has_labels(&one));
    }
}
