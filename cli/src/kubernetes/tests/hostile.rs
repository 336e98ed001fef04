//! Input that means no good: bounded, refused with its place, and no panic.

use std::time::{Duration, Instant};

use super::*;

fn refused(text: &str) -> String {
    let begun = Instant::now();
    let error = read(&[source("a.yaml", text)], None).unwrap_err().to_string();
    assert!(begun.elapsed() < Duration::from_secs(20), "{error}");
    assert!(error.starts_with("a.yaml:") && error.len() < 2000, "{error}");
    error
}

#[test]
fn aliases_that_double_each_other() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for nth in 1..12 {
        let of = vec![format!("*a{}", nth - 1); 9].join(", ");
        let _ = writeln!(text, "a{nth}: &a{nth} [{of}]");
    }
    expect!["a.yaml:6:35: with its aliases followed, the file is too large"].assert_eq(&refused(&text));
    expect!["a.yaml:1:8: an alias cannot stand within what it stands for"]
        .assert_eq(&refused("a: &a [*a]\n"));
    expect!["a.yaml:1:4: while parsing node, found unknown anchor"].assert_eq(&refused("a: *b\n"));
}

#[test]
fn aliases_that_do_not_are_followed() {
    let text = deployment_with("env: [{ name: A, value: &v text }, { name: B, value: *v }]");
    let manifests = read(&[source("a.yaml", &text)], None).unwrap();
    let spec = manifests.objects[0].spec().unwrap();
    let env = &spec.task.as_ref().unwrap().container.as_ref().unwrap().env;
    assert_eq!((&env["A"][..], &env["B"][..]), ("text", "text"));
}

#[test]
fn variables_that_double_each_other() {
    let mut env = "env:\n- { name: V0, value: xxxxxxxxxxxxxxxx }\n".to_owned();
    for nth in 1..40 {
        let before = nth - 1;
        let _ = writeln!(env, "- {{ name: V{nth}, value: \"$(V{before})$(V{before})\" }}");
    }
    expect![
        "a.yaml:29:31: spec.template.spec.containers[0].env[16].value: is too large with its variables put in"
    ]
    .assert_eq(&refused(&deployment_with(&env)));
}

#[test]
fn deep_nesting() {
    expect!["a.yaml:1:103: unclosed bracket '['"].assert_eq(&refused(&format!("a: {}", "[".repeat(100))));
    expect!["a.yaml:1:259: recursion limit exceeded"]
        .assert_eq(&refused(&format!("a: {}", "[".repeat(100_000))));
    let deep: String = (0..100).map(|nth| format!("{}a:\n", " ".repeat(nth))).collect();
    expect!["a.yaml:65:65: nested more than 64 deep"].assert_eq(&refused(&deep));
}

#[test]
fn what_no_text_holds() {
    let all = [
        refused("apiVersion: v1\nkind: \"P\\0\"\n"),
        refused("apiVersion: v1\nkind: P\0od\n"),
        refused("apiVersion: v1\nkind: \"\\u001b[31m\"\n"),
        refused(&deployment_with("args: [\"a\\0b\"]")),
        refused("apiVersion: v1\napiVersion: v1\nkind: Pod\n"),
        refused("apiVersion: v1\nkind: Pod\nmetadata: { name: a, name: b }\n"),
        refused("apiVersion: v1\nkind: !!str Pod\n"),
        refused("apiVersion: v1\nkind: Pod\nmetadata: { [a]: b }\n"),
        refused("apiVersion: v1\nkind: Pod\nmetadata: { <<: { name: a } }\n"),
        refused("apiVersion: v1\nkind: Pod\nmetadata: {\n"),
        refused("apiVersion: v1\nkind: Pod\n\tmetadata: {}\n"),
        refused("apiVersion: v1\nkind: Pod\nmetadata: { name: 99999999999999999999999999999999999999 }\n"),
    ]
    .join("\n");
    expect![[r#"
        a.yaml:2:7: kind: a text cannot hold NUL
        a.yaml:2:8: unexpected character: `\u{0}'
        a.yaml:2:7: kind: `\u{1b}[31m` is not supported; supported are Deployment, DaemonSet, Pod, Service, ConfigMap, Secret, LimitRange, Endpoints, EndpointSlice, NetworkPolicy, List
        a.yaml:12:16: spec.template.spec.containers[0].args[0]: a text cannot hold NUL
        a.yaml:2:1: `apiVersion` stands here a second time
        a.yaml:3:22: `name` stands here a second time
        a.yaml:2:13: tags such as `!!str` are not read; write a text in quotes
        a.yaml:3:13: expected the name of a field
        a.yaml:3:11: metadata: missing field `name`
        a.yaml:3:11: unclosed bracket '{'
        a.yaml:2:7: while scanning a plain scalar, found a tab
        a.yaml:3:19: metadata.name: `99999999999999999999999999999999999999` is not a text; write it as "99999999999999999999999999999999999999""#]].assert_eq(&all);
}

#[test]
fn a_long_text_is_not_repeated_in_full() {
    refused(&format!("apiVersion: v1\nkind: {}\n", "x".repeat(1 << 20)));
    refused(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ ? {} : 1 }}\n",
        "x".repeat(1 << 20)
    ));
    refused(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{ name: {} }}\n",
        "x".repeat(1 << 20)
    ));
}

#[test]
fn no_part_of_a_manifest_panics() {
    let files = [
        include_str!("../../../../tests/manifests/000-web-app-deployment.yaml"),
        include_str!("../../../../tests/manifests/000-web-app-limit-range-limitrange.yaml"),
        include_str!("../../../../tests/manifests/004-my-service-service.yaml"),
        include_str!("../../../../tests/manifests/004-my-service-endpoints.yaml"),
    ];
    let others = [
        "[]", "{}", "\"\"", "-1", "~", "*a", "&a a", "1e999", "\u{fffd}", "- -", ": :", "!!x y",
    ];
    let mut n_refused = 0;
    for text in files {
        let places = text.char_indices().map(|(at, _)| at);
        for at in places {
            let tried = |text: String| usize::from(read(&[source("a.yaml", &text)], None).is_err());
            n_refused += tried(text[..at].to_owned());
            for other in others {
                n_refused += tried(format!("{}{other}{}", &text[..at], &text[at + 1..]));
            }
        }
    }
    assert!(n_refused > 1000, "{n_refused}");
}
