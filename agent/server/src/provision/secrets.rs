//! Variables that hold secrets: their values reach the task's environment, and nothing else.

use super::{Prepared, Request};
use crate::secrets::Secrets;

/// Adds the variables, over what the task says itself.
pub(super) async fn prepare(
    secrets: &Secrets,
    request: &Request,
    prepared: &mut Prepared,
) -> Result<(), String> {
    for (variable, name) in &request.info.container.secret_env {
        let value = secrets.get(name).await?;
        // Checked here, because whoever checks it later would quote it.
        let value = String::from_utf8(value)
            .ok()
            .filter(|value| !value.contains('\0'));
        let value = value.ok_or_else(|| {
            format!(
                "the secret `{name}` cannot be in the variable `{variable}`: it is no UTF-8 text without NUL"
            )
        })?;
        prepared.config.spec.env.insert(variable.clone(), value);
    }
    Ok(())
}
