//! How much output is kept.

use proffer_types::container::LogSettings;

use crate::error::ConvertError;
use crate::v1;

/// The least bytes of one file: a page, lest each line makes a file.
pub const MIN_LOG_BYTES: u64 = 4096;
/// The most files of each stream: each is looked at when the next one begins.
pub const MAX_LOG_FILES: u32 = 100;

impl TryFrom<v1::LogSettings> for LogSettings {
    type Error = ConvertError;

    fn try_from(message: v1::LogSettings) -> Result<Self, ConvertError> {
        if let Some(bytes) = message.max_bytes.filter(|bytes| *bytes < MIN_LOG_BYTES) {
            let problem = format!("is {bytes}, at least {MIN_LOG_BYTES} are needed");
            return Err(ConvertError::new("max_bytes", problem));
        }
        if let Some(files) = message.files.filter(|files| !(1..=MAX_LOG_FILES).contains(files)) {
            let problem = format!("is {files}, not 1 to {MAX_LOG_FILES}");
            return Err(ConvertError::new("files", problem));
        }
        Ok(Self {
            max_bytes: message.max_bytes,
            files: message.files,
        })
    }
}

impl From<&LogSettings> for v1::LogSettings {
    fn from(logs: &LogSettings) -> Self {
        Self {
            max_bytes: logs.max_bytes,
            files: logs.files,
        }
    }
}
