//! `proffer version`.

use anyhow::Result;

use crate::output::print;

pub(super) fn version() -> Result<u8> {
    print(concat!("proffer ", env!("CARGO_PKG_VERSION"), "\n"))?;
    Ok(0)
}
