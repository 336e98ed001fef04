//! A registry saved, put back and moved, with masters on it.

use std::sync::Arc;

use proffer_master::{Backup, BackupError, MasterError, transfer};
use proffer_store::{Batch, Fault, Memory, Store as _};
use proffer_types::Timestamp;
use proffer_wire::v1;
use prost::Message as _;
use tokio_stream::StreamExt as _;

use crate::harness::{Running, config, framework_info, start};

const NOW: Timestamp = Timestamp(1_000);

/// A store with a framework and a role in it, and the framework's id.
async fn used() -> (Arc<Memory>, String) {
    let store = Arc::new(Memory::new());
    let master = start(&store).await;
    let role = v1::SetRoleRequest {
        role: "web".to_owned(),
        weight: Some(2.5),
        ..Default::default()
    };
    master.operator().await.set_role(role).await.unwrap();
    let mut framework = master.framework(framework_info()).await;
    let id = framework.subscribed().await.framework_id;
    drop(framework);
    master.stop().await;
    (store, id)
}

async fn downloaded(master: &Running) -> Vec<u8> {
    let request = v1::BackupRegistryRequest {};
    let pieces = master.operator().await.backup_registry(request).await.unwrap();
    let pieces: Vec<_> = pieces
        .into_inner()
        .map(|piece| piece.unwrap().data)
        .collect()
        .await;
    pieces.concat()
}

/// That a master starts there and has the framework.
async fn assert_whole(store: &Arc<Memory>, framework_id: &str) {
    let master = start(store).await;
    let mut info = framework_info();
    info.framework_id = framework_id.to_owned();
    let mut framework = master.framework(info).await;
    assert_eq!(framework.subscribed().await.framework_id, framework_id);
    drop(framework);
    master.stop().await;
}

async fn refusal(store: &Arc<Memory>) -> MasterError {
    let allocator = || proffer_allocator::by_name("drf").unwrap();
    let run = proffer_master::run(
        config(None),
        Box::new(allocator),
        store.clone(),
        Default::default(),
    );
    run.await.unwrap_err()
}

#[tokio::test]
async fn a_backup_of_a_working_master_restores_a_registry_whose_terms_are_all_later() {
    let (store, id) = used().await;
    let master = start(&store).await;
    let file = downloaded(&master).await;
    master.stop().await;
    let backup = Backup::from_bytes(&file).unwrap();
    assert_eq!((backup.n_frameworks, backup.n_roles, backup.term), (1, 1, 2));
    let other = Arc::new(Memory::new());
    backup.restore(&*other, false).await.unwrap();
    assert_whole(&other, &id).await;
    let again = Backup::take(&*other, NOW).await.unwrap();
    assert!(again.term > backup.term + 1_000, "{again:?}");
}

#[tokio::test]
async fn a_backup_with_any_byte_changed_or_missing_is_refused_whole() {
    let (store, _) = used().await;
    let file = Backup::take(&*store, NOW).await.unwrap().to_bytes();
    for at in 0..file.len() {
        assert!(Backup::from_bytes(&file[..at]).is_err(), "cut at {at}");
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        assert!(Backup::from_bytes(&bad).is_err(), "changed at {at}");
    }
}

#[tokio::test]
async fn nothing_is_replaced_unless_that_is_asked_for() {
    let (store, id) = used().await;
    let backup = Backup::take(&*store, NOW).await.unwrap();
    let other = Arc::new(Memory::new());
    other.commit(Batch::new().put("a", "b")).await.unwrap();
    let refused = backup.restore(&*other, false).await.unwrap_err();
    assert!(
        matches!(refused, BackupError::NotEmpty { n_records: 1 }),
        "{refused:?}"
    );
    assert_eq!(other.scan("").await.unwrap().len(), 1);
    backup.restore(&*other, true).await.unwrap();
    assert_whole(&other, &id).await;
}

#[tokio::test]
async fn a_move_that_fails_anywhere_leaves_no_store_to_start_on_and_is_done_by_doing_it_again() {
    // Marking the source, beginning, writing, ending.
    for (nth_of_source, nth_of_target) in [(1, 9), (9, 1), (9, 2), (9, 3)] {
        for fault in [Fault::Before, Fault::After] {
            let (from, id) = used().await;
            let to = Arc::new(Memory::new());
            from.fail_commit(nth_of_source, fault);
            to.fail_commit(nth_of_target, fault);
            let failed = transfer(&*from, &*to, "there", NOW).await.unwrap_err();
            assert!(matches!(failed, BackupError::Write(_)), "{failed:?}");
            let is_done = nth_of_target == 3 && fault == Fault::After;
            let is_begun = nth_of_target < 9 || fault == Fault::After;
            if is_begun {
                let moved = refusal(&from).await;
                assert!(
                    matches!(&moved, MasterError::Moved { to } if to == "there"),
                    "{moved:?}"
                );
            }
            let begun = to.get("meta").await.unwrap().is_some();
            if begun && !is_done {
                assert!(matches!(refusal(&to).await, MasterError::Restoring));
            }
            let again = transfer(&*from, &*to, "there", NOW).await;
            assert_eq!(again.is_err(), is_done, "{again:?}");
            assert_whole(&to, &id).await;
            assert!(matches!(refusal(&from).await, MasterError::Moved { .. }));
            let elsewhere = transfer(&*from, &Memory::new(), "elsewhere", NOW)
                .await
                .unwrap_err();
            assert!(matches!(elsewhere, BackupError::Moved { .. }), "{elsewhere:?}");
        }
    }
}

#[tokio::test]
async fn a_master_whose_registry_is_moved_away_under_it_ends() {
    let (from, _) = used().await;
    let master = start(&from).await;
    transfer(&*from, &Memory::new(), "there", NOW).await.unwrap();
    // It notices when it has something to write.
    let framework = master.framework(framework_info()).await;
    let ended = tokio::time::timeout(crate::harness::PATIENCE, master.ended).await;
    drop(framework);
    let error = ended.unwrap().unwrap().unwrap_err();
    assert!(
        matches!(&error, MasterError::Moved { to } if to == "there"),
        "{error:?}"
    );
}

/// A backup of each, named after the format; `PROFFER_WRITE_FIXTURE=NAME` writes one of today.
const FIXTURES: &str = "tests/backup/formats";

/// A registry with one of each record that a master of today writes.
async fn of_everything() -> Arc<Memory> {
    let (store, _) = used().await;
    let master = start(&store).await;
    let mut agent = master.agent(crate::harness::resources(4.0, 4e9)).await;
    let registered = |message| matches!(message, v1::master_message::Message::Registered(_)).then_some(());
    agent.next(registered).await.unwrap();
    let role = v1::SetRoleRequest {
        role: "ads/nightly".to_owned(),
        priority: Some(-3),
        guarantee: Some(crate::harness::resources(1.0, 1e9)),
        ..Default::default()
    };
    master.operator().await.set_role(role).await.unwrap();
    let mut completed = master.framework(framework_info()).await;
    let framework_id = completed.subscribed().await.framework_id;
    let teardown = v1::TeardownFrameworkRequest { framework_id };
    master
        .operator()
        .await
        .teardown_framework(teardown)
        .await
        .unwrap();
    let agents = master
        .operator()
        .await
        .list_agents(v1::ListAgentsRequest::default())
        .await;
    let agent_ids = vec![agents.unwrap().into_inner().agents[0].agent_id.clone()];
    let drain = v1::DrainAgentsRequest {
        agent_ids: agent_ids.clone(),
        max_grace_ms: Some(5_000),
        deadline_ms: 3_600_000,
        ..Default::default()
    };
    master.operator().await.drain_agents(drain).await.unwrap();
    let window = v1::ScheduleMaintenanceRequest {
        name: "kernel".to_owned(),
        agent_ids,
        start: Some(v1::schedule_maintenance_request::Start::StartAfterMs(3_600_000)),
        duration_ms: 60_000,
        max_grace_ms: Some(7_000),
    };
    master
        .operator()
        .await
        .schedule_maintenance(window)
        .await
        .unwrap();
    drop((agent, completed));
    master.stop().await;
    store
}

/// The names and milliseconds of the maintenance windows of all agents.
async fn windows(store: &Memory) -> Vec<(String, u64)> {
    let entries = store.scan("agents/").await.unwrap();
    let records = entries
        .iter()
        .map(|entry| v1::RegistryAgent::decode(&*entry.value).unwrap());
    let windows = records.flat_map(|record| record.windows);
    windows
        .map(|window| (window.name, window.unavailability.unwrap().duration_ms))
        .collect()
}

#[tokio::test]
async fn the_registry_of_every_format_there_ever_was_is_read() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURES);
    if let Some(name) = std::env::var_os("PROFFER_WRITE_FIXTURE") {
        let backup = Backup::take(&*of_everything().await, NOW).await.unwrap();
        std::fs::write(fixtures.join(name), backup.to_bytes()).unwrap();
    }
    let mut n_fixtures = 0;
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let path = entry.unwrap().path();
        let backup = Backup::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            (backup.n_agents, backup.n_frameworks, backup.n_roles),
            (1, 2, 2),
            "{path:?}"
        );
        let store = Arc::new(Memory::new());
        backup.restore(&*store, false).await.unwrap();
        let format: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // Asked of the record: a master takes out what is over.
        let windows = windows(&store).await;
        let expected: &[_] = if format >= 3 {
            &[("kernel".to_owned(), 60_000)]
        } else {
            &[]
        };
        assert_eq!(windows, expected, "{path:?}");
        let master = start(&store).await;
        let mut operator = master.operator().await;
        let agents = operator
            .list_agents(v1::ListAgentsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .agents;
        let drain = agents[0].drain.as_ref();
        let grace = drain.and_then(|drain| drain.max_grace_ms);
        assert_eq!(grace, (format >= 2).then_some(5_000), "{path:?}");
        let deadline = drain.map_or(0, |drain| drain.deadline_ms);
        let expected = if format >= 4 { 3_600_000 } else { 0 };
        assert_eq!(deadline, expected, "{path:?}");
        let info = agents[0].info.as_ref().unwrap();
        assert_eq!(
            (info.hostname.as_str(), info.resources.as_ref()),
            ("host", Some(&crate::harness::resources(4.0, 4e9)))
        );
        let roles = operator
            .list_roles(v1::ListRolesRequest {})
            .await
            .unwrap()
            .into_inner()
            .roles;
        let web = roles.iter().find(|role| role.name == "web").unwrap();
        let ads = roles.iter().find(|role| role.name == "ads/nightly").unwrap();
        assert_eq!((web.weight, ads.priority), (2.5, -3));
        assert!(ads.quota.as_ref().unwrap().guarantee.is_some());
        master.stop().await;
        n_fixtures += 1;
    }
    assert!(n_fixtures >= 1);
}
