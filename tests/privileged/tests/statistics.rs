//! What is told of a container while it runs, on the kernel at hand.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use proffer_container::{DEFAULT_PIDS_LIMIT, Version};
use proffer_linux::UsageError;
use proffer_privileged_tests::{Host, MEM_BYTES, eventually, guest, on_host};
use proffer_types::Resources;
use proffer_types::statistics::Statistics;

fn statistics(host: &Host, id: &proffer_container::ContainerId) -> Result<Statistics> {
    Ok(host.containerizer.statistics(id)?)
}

#[test]
fn a_running_task_is_counted_by_kind() -> Result<()> {
    on_host(|host| {
        // `tail` keeps what may be the last 16 MiB, and a fifth of a cpu is not enough for the loop.
        let script = "{ head -c 16M /dev/zero; sleep 100; } | tail -c 16M & while :; do :; done";
        let mut config = host.config("counted", &["sh", "-c", script]);
        config.resources = Resources::of(200, MEM_BYTES, 0);
        let container = host.launch(&config)?;
        let found = eventually("memory and throttling", || {
            let found = statistics(host, &container.id)?;
            let is_up = found.cpu.n_throttled > 0 && found.memory.anon_bytes >= 8 << 20;
            Ok((is_up && found.pids.current >= 3).then_some(found))
        })?;
        let (cpu, memory, pids) = (found.cpu, found.memory, found.pids);
        ensure!(cpu.usage_us > 0 && cpu.throttled_us > 0, "{cpu:?}");
        ensure!(cpu.user_us > 0 && cpu.system_us > 0, "{cpu:?}");
        ensure!(cpu.n_periods >= cpu.n_throttled, "{cpu:?}");
        ensure!(memory.anon_bytes < MEM_BYTES, "{memory:?}");
        ensure!(memory.current_bytes >= memory.anon_bytes, "{memory:?}");
        ensure!(memory.limit_bytes == Some(MEM_BYTES), "{memory:?}");
        ensure!(memory.oom_kills == 0, "{memory:?}");
        ensure!(
            pids.current < 10 && (pids.limit, pids.refused) == (Some(DEFAULT_PIDS_LIMIT), 0),
            "{pids:?}"
        );
        ensure!(found.network.is_empty(), "{:?}", found.network);
        ensure!(found.timestamp.0 > 0);
        let has_pressure = host.containerizer.host_facts().version == Version::V2
            && fs::read_to_string("/proc/pressure/cpu").is_ok();
        ensure!(
            found.pressure.cpu.is_some() == has_pressure,
            "{:?}",
            found.pressure
        );
        if let Some(pressure) = found.pressure.cpu {
            ensure!(pressure.some_total_us > 0, "{pressure:?}");
        }
        host.containerizer.destroy(&container.id)?;
        let gone = host.containerizer.statistics(&container.id).err();
        ensure!(
            matches!(gone, Some(UsageError::Gone(_))),
            "a container that is gone has statistics: {gone:?}"
        );
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest_with_cgroup_v2",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}
