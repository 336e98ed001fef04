//! The registry of real masters, saved, restored and moved on the command line.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{built_binary, signal, text, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A master by itself, on a port that it finds.
struct Master {
    child: Child,
    address: String,
}

impl Master {
    fn start(binary: &Path, data_dir: &Path) -> Result<Self> {
        let log = data_dir.with_extension("log");
        let child = Command::new(binary)
            .args(["master", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(data_dir)
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()?;
        let mut address = None;
        let is_up = || {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            let said = log.split("address=").nth(1);
            address = said
                .and_then(|rest| rest.split_whitespace().next())
                .map(str::to_owned);
            address.is_some() && log.contains("registry recovered")
        };
        ensure!(wait_for(PATIENCE, is_up), "the master does not start");
        let address = address.context("no address")?;
        Ok(Self { child, address })
    }

    fn stop(mut self) -> Result<()> {
        signal(self.child.id(), "TERM")?;
        ensure!(self.child.wait()?.success());
        Ok(())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // Gone already, after a stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Shell {
    binary: PathBuf,
    dir: tempfile::TempDir,
}

impl Shell {
    fn run(&self, master: &str, line: &str) -> Result<Output> {
        let mut command = Command::new(&self.binary);
        command.args(line.split(' ')).env("PROFFER_MASTER", master);
        Ok(command.current_dir(self.dir.path()).output()?)
    }

    fn ok(&self, master: &str, line: &str) -> Result<String> {
        let output = self.run(master, line)?;
        ensure!(output.status.success(), "{line}: {}", text(&output.stderr));
        Ok(text(&output.stdout) + &text(&output.stderr))
    }

    fn refused(&self, line: &str) -> Result<String> {
        let output = self.run("", line)?;
        ensure!(!output.status.success(), "{line} succeeds");
        Ok(text(&output.stderr))
    }
}

#[test]
fn a_registry_is_saved_while_its_master_works_and_restored_and_moved_with_what_was_set() -> Result<()> {
    let dir = tempfile::Builder::new().prefix("proffer-registry-").tempdir()?;
    let shell = Shell {
        binary: built_binary()?,
        dir,
    };
    let at = |name: &str| shell.dir.path().join(name);
    let master = Master::start(&shell.binary, &at("first"))?;
    shell.ok(&master.address, "role set web --weight 2.5")?;
    let saved = shell.ok(&master.address, "registry backup saved")?;
    assert!(saved.contains("0 agents, 0 frameworks, 1 role"), "{saved}");
    assert!(
        shell
            .refused("registry backup --from second saved")?
            .contains("there is no store in")
    );
    assert!(!at("second").exists());
    assert!(
        shell
            .refused("registry inspect first")?
            .contains("in use by another process")
    );
    let again = shell.run(&master.address, "registry backup saved")?;
    assert!(text(&again.stderr).contains("is there already"));
    master.stop()?;

    let full = shell.refused("registry restore saved first")?;
    assert!(full.contains("--replace"), "{full}");
    shell.ok("", "registry restore saved second")?;
    let master = Master::start(&shell.binary, &at("second"))?;
    assert!(shell.ok(&master.address, "roles")?.contains("2.5"));
    master.stop()?;

    shell.ok("", "registry move second third")?;
    let refused = shell.refused("master --listen 127.0.0.1:0 --data-dir second")?;
    assert!(refused.contains("the registry was moved to third"), "{refused}");
    let master = Master::start(&shell.binary, &at("third"))?;
    assert!(shell.ok(&master.address, "roles")?.contains("2.5"));
    master.stop()?;

    std::fs::write(at("saved"), "proffer registry backup 1\nnot really")?;
    assert!(
        shell
            .refused("registry restore saved fourth")?
            .contains("cut off or damaged")
    );
    assert!(!at("fourth").exists());
    Ok(())
}
