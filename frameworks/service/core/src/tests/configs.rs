//! Configs: which revision a task has, what a change deploys, and who may read.

use std::collections::BTreeMap;

use proffer_session::Scheduler as _;
use proffer_types::container::{ConfigFiles, ConfigUse, ConfigVariables, OnChange, VolumeSource, VolumeSpec};
use proffer_types::scheduler_link::Call;
use proffer_types::{TaskInfo, TaskState};
use proptest::prelude::*;

use super::world::{World, launched, spec};
use crate::{Config, ConfigError, Outcome, Steer};

fn config(name: &str, value: &str) -> Config {
    Config {
        name: name.to_owned(),
        entries: BTreeMap::from([("a".to_owned(), value.into())]),
        secret: name == "key",
    }
}

fn set(world: &mut World, name: &str, value: &str) -> Vec<String> {
    let config = config(name, value);
    let (applied, _) = world.run(|services, cx| services.apply_config(config, cx));
    applied.unwrap().deploys
}

/// A service `web` of one replica that uses each of those.
fn web(uses: &[(&str, OnChange)]) -> crate::ServiceSpec {
    let mut spec = spec("web", 1, "cpus:1;mem:64MiB", &[]);
    let container = &mut spec.task.container;
    for (nth, (name, on_change)) in uses.iter().enumerate() {
        container.configs.push(ConfigUse {
            name: (*name).to_owned(),
            on_change: *on_change,
        });
        container.volumes.push(VolumeSpec {
            container_path: format!("/etc/{nth}"),
            read_only: true,
            source: VolumeSource::Config(ConfigFiles {
                config: (*name).to_owned(),
                items: BTreeMap::from([("a".to_owned(), "a".to_owned())]),
                mode: 0o444,
            }),
        });
    }
    spec
}

/// Offers an agent, and gives back what starts there.
fn start(world: &mut World) -> Option<TaskInfo> {
    let offer = world.offer("A", "cpus:8;mem:8GiB".parse().unwrap());
    let ((), calls) = world.run(|services, cx| services.offers(cx, vec![offer]));
    let mut tasks = Vec::new();
    for call in &calls {
        if let Call::Accept { operations, .. } = call {
            tasks.extend(launched(operations).cloned());
        }
    }
    tasks.pop()
}

/// What a task reads that knows nothing: the first value of each config, by name.
fn read(world: &World, task: &TaskInfo) -> Result<BTreeMap<String, String>, String> {
    let (id, token) = (task.id.as_str(), &task.container.config_token);
    let contents = world.services.read_configs(id, token, &BTreeMap::new())?;
    let value = |entries: &BTreeMap<String, Vec<u8>>| String::from_utf8(entries["a"].clone()).unwrap();
    Ok(contents
        .into_iter()
        .map(|content| (content.name, value(&content.entries)))
        .collect())
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn a_version_keeps_what_its_tasks_restart_for_and_others_have_the_latest() {
    let mut world = World::new();
    world.subscribe();
    set(&mut world, "app", "1");
    set(&mut world, "live", "1");
    let spec = web(&[("app", OnChange::Restart), ("live", OnChange::Update)]);
    world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
    let first = start(&mut world).unwrap();
    world.status(&first.id, TaskState::Running);
    assert_eq!(set(&mut world, "live", "2"), Vec::<String>::new());
    assert_eq!(set(&mut world, "app", "2"), ["web"]);
    assert_eq!(set(&mut world, "app", "2"), Vec::<String>::new());
    world.restart();
    world.subscribe();
    let second = start(&mut world).unwrap();
    assert_ne!(first.id, second.id);
    let old = BTreeMap::from([pair("app", "1"), pair("live", "2")]);
    assert_eq!(read(&world, &first), Ok(old.clone()));
    let new = BTreeMap::from([pair("app", "2"), pair("live", "2")]);
    assert_eq!(read(&world, &second), Ok(new));

    // Back to the version is back to what it had.
    let back = world.run(|services, cx| services.steer("web", Steer::Rollback(Some(1)), cx));
    back.0.unwrap();
    world.status(&second.id, TaskState::Killed);
    assert_eq!(read(&world, &first), Ok(old));
    let known = BTreeMap::from([("app".to_owned(), 1), ("live".to_owned(), 2)]);
    let token = &first.container.config_token;
    let unread = world.services.read_configs(first.id.as_str(), token, &known);
    assert!(unread.unwrap().is_empty());
}

#[test]
fn only_who_runs_a_task_may_read_and_secrets_are_shown_to_nobody_else() {
    let mut world = World::new();
    world.subscribe();
    set(&mut world, "key", "hidden");
    let spec = web(&[("key", OnChange::Keep)]);
    world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
    let mut task = start(&mut world).unwrap();
    assert_eq!(read(&world, &task), Ok(BTreeMap::from([pair("key", "hidden")])));
    let view = world.services.get_config("key").unwrap();
    assert_eq!(view.config.entries["a"], b"");
    assert_eq!(
        (view.revision, view.n_bytes, view.used_by),
        (1, 7, vec!["web".to_owned()])
    );
    assert!(!format!("{:?}", world.services).contains("hidden"));

    let token = std::mem::take(&mut task.container.config_token);
    assert!(read(&world, &task).unwrap_err().contains("not its own"));
    task.container.config_token = token;
    world.status(&task.id, TaskState::Running);
    world.status(&task.id, TaskState::Killed);
    assert!(start(&mut world).is_some());
    assert!(read(&world, &task).unwrap_err().contains("not its own"));
}

#[test]
fn what_is_used_is_there() {
    let mut world = World::new();
    world.subscribe();
    let (absent, _) = world.run(|services, cx| services.apply(web(&[("app", OnChange::Restart)]), cx));
    assert_eq!(
        absent.unwrap_err().to_string(),
        "service `web` cannot run: there is no config `app`"
    );
    set(&mut world, "app", "1");
    let mut spec = web(&[("app", OnChange::Restart)]);
    let env = &mut spec.task.container.config_env;
    env.push(ConfigVariables::One {
        config: "app".to_owned(),
        key: "b".to_owned(),
        variable: "B".to_owned(),
    });
    let (absent, _) = world.run(|services, cx| services.apply(spec.clone(), cx));
    assert_eq!(
        absent.unwrap_err().to_string(),
        "service `web` cannot run: the config `app` has no key `b`"
    );
    spec.task.container.config_env.clear();
    world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
    let empty = Config {
        entries: BTreeMap::new(),
        ..config("app", "")
    };
    let (refused, _) = world.run(|services, cx| services.apply_config(empty, cx));
    assert!(matches!(refused.unwrap_err(), ConfigError::KeyInUse { .. }));
    let (refused, _) = world.run(|services, cx| services.delete_config("app", cx));
    assert!(matches!(refused.unwrap_err(), ConfigError::InUse { .. }));
    world.run(|services, cx| services.delete("web", cx)).0.unwrap();
    world
        .run(|services, cx| services.delete_config("app", cx))
        .0
        .unwrap();
    assert!(world.records.keys().all(|key| !key.starts_with("config/")));
}

#[test]
fn a_config_that_cannot_be_is_refused() {
    let refused = |change: fn(&mut Config)| {
        let mut config = config("app", "1");
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    let name = refused(|config| config.name = "App".to_owned());
    assert!(name.starts_with("name: `App` must be"), "{name}");
    for key in ["", "a/b", "..a", "."] {
        let mut config = config("app", "1");
        config.entries.insert(key.to_owned(), Vec::new());
        assert!(config.check().unwrap_err().to_string().starts_with("entries: "));
    }
    let large = refused(|config| {
        config.entries.insert("b".to_owned(), vec![0; 1 << 20]);
    });
    assert_eq!(
        large,
        "config `app` has 1048579 bytes, at most 1048576 are allowed"
    );
}

proptest! {
    /// Whatever is set, deployed, taken back and restarted: a task has the config its version was made with, whoever asks and
    /// however late, and nothing is kept that nothing has.
    #[test]
    fn a_task_has_what_its_version_was_made_with(steps in proptest::collection::vec(0..5_u8, 1..40)) {
        let mut world = World::new();
        world.subscribe();
        set(&mut world, "app", "0");
        world.run(|services, cx| services.apply(web(&[("app", OnChange::Restart)]), cx)).0.unwrap();
        let mut made = BTreeMap::from([(1, "0".to_owned())]);
        let mut value = 0;
        for step in steps {
            match step {
                0 => {
                    value += 1;
                    set(&mut world, "app", &value.to_string());
                }
                1 => world.restart(),
                2 => {
                    let first = world.services.get("web").unwrap().versions.first().unwrap().number;
                    let back = Steer::Rollback(Some(first));
                    let _at_it_already = world.run(|services, cx| services.steer("web", back, cx)).0;
                }
                3 => {
                    world.run(|services, cx| services.steer("web", Steer::Restart, cx)).0.unwrap();
                }
                _ => {
                    world.subscribe();
                    if let Some(task) = start(&mut world) {
                        let version: u64 = task.container.env["PROFFER_VERSION"].parse().unwrap();
                        prop_assert_eq!(read(&world, &task).unwrap()["app"].clone(), made[&version].clone());
                        world.status(&task.id, TaskState::Failed);
                    }
                }
            }
            let view = world.services.get("web").unwrap();
            made.entry(view.versions.last().unwrap().number).or_insert_with(|| value.to_string());
            prop_assert!(view.versions.iter().all(|version| version.outcome != Outcome::Good));
            let kept = world.records.keys().filter(|key| key.starts_with("config/app/")).count();
            prop_assert!(kept <= view.versions.len() + 1);
        }
    }
}
