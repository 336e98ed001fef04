//! A job with parameters, dispatched: its tasks see the values and the file, and the same token runs nothing twice.

use std::time::Duration;

use anyhow::Result;
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};

/// How long the batch framework may take to be back on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// As in docs/jobs.md.
const TEMPLATE: &str = "name: convert
parameters:
  input: { required: true, description: what to convert }
  quality: { default: 80 }
payload: optional
tasks:
  - name: convert
    cpus: 0.1
    mem: 32MiB
    env: { TITLE: \"${param.input} at ${param.quality}\" }
    command: [sh, -c, 'echo \"$0, $TITLE, $PROFFER_PARAM_QUALITY\"; [ -z \"$PROFFER_PAYLOAD\" ] || cat $PROFFER_PAYLOAD', '${param.input}']
";

#[test]
fn a_dispatched_job_runs_once_for_each_token_with_its_values_and_its_file() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let submitted = cluster.run_with_input(&["job", "submit", "-"], TEMPLATE)?;
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let status = cluster.ok(&["job", "status", "convert"])?;
    assert!(
        status.contains("PARAMETERISED") && status.contains("(required)"),
        "{status}"
    );

    let refused = cluster.run(&["job", "dispatch", "convert"])?;
    let said = text(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("job `convert` needs a value of `input`"),
        "{said}"
    );

    let dispatch = [
        "job",
        "dispatch",
        "convert",
        "-p",
        "input=a b.png",
        "--id",
        "one",
        "--wait",
    ];
    let with_file = [&dispatch[..], &["--payload", "-"]].concat();
    let done = cluster.run_with_input(&with_file, "from a file\n")?;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "convert@one\n");
    let logs = || cluster.ok(&["job", "logs", "convert@one"]);
    let expected = "a b.png, a b.png at 80, 80\nfrom a file\n";
    assert!(logs()?.contains(expected), "{}", logs()?);
    let run = cluster.json(&["job", "status", "convert@one"])?;
    assert_eq!(run["dispatch"]["values"]["quality"], "80", "{run}");
    assert_eq!(run["dispatch"]["payload_bytes"], 12, "{run}");
    assert_eq!(run["specs"][0]["command"][3], "a b.png", "{run}");

    cluster.kill_9("batch")?;
    let again = || cluster.run(&dispatch);
    let was_there = "convert@one\n";
    assert!(wait_for(PATIENCE, || {
        again().is_ok_and(|again| again.status.success() && text(&again.stdout) == was_there)
    }));
    let said = text(&again()?.stderr);
    assert!(said.contains("nothing was started"), "{said}");
    let runs = cluster.json(&["job", "runs", "convert"])?;
    assert_eq!(runs.as_array().map(Vec::len), Some(1), "{runs}");

    cluster.ok(&["job", "cancel", "convert"])?;
    let refused = cluster.run(&["job", "dispatch", "convert", "-p", "input=x"])?;
    assert!(
        text(&refused.stderr).contains("was cancelled"),
        "{}",
        text(&refused.stderr)
    );
    Ok(())
}
