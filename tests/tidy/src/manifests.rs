//! Every package stands under the workspace's lints: one list, in one place.

use toml::Table;

use crate::metadata::packages;
use crate::tree::read;

fn inherits_lints(manifest: &str) -> bool {
    let manifest: Table = manifest.parse().expect("a manifest is TOML");
    let lints = manifest.get("lints").and_then(toml::Value::as_table);
    lints
        .and_then(|lints| lints.get("workspace"))
        .and_then(toml::Value::as_bool)
        == Some(true)
}

#[test]
fn every_package_inherits_the_workspace_lints() {
    let bare = packages()
        .into_iter()
        .filter(|package| !inherits_lints(&read(&format!("{}/Cargo.toml", package.folder))));
    let complaints: Vec<String> = bare
        .map(|package| format!("{}/Cargo.toml: no `[lints] workspace = true`", package.folder))
        .collect();
    crate::assert_tidy(&complaints);
}

#[test]
fn a_manifest_with_lints_of_its_own_is_seen() {
    assert!(inherits_lints("[lints]\nworkspace = true\n"));
    assert!(!inherits_lints("[package]\nname = \"a\"\n"));
    assert!(!inherits_lints("[lints.rust]\nunsafe_code = \"allow\"\n"));
}
