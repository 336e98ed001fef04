//! A container: what it runs, with which environment.

use std::collections::BTreeMap;

use proffer_types::container::OnChange;

use super::Namespace;
use super::config::reference;
use super::fields::{Fields, Item};
use super::metadata::dns_label;
use super::ports::Ports;
use super::probe::probes;
use super::resources::resources;
use super::security::{Shared, of_container};
use super::tree::Wrong;
use super::volume::{PodVolume, mounts};
use crate::spec::{Change, ConfigKey, EnvFrom, Image, Pull, TaskSpec};

/// What environment and command of a container may come to once variables are put in, in bytes: more than a service may have,
/// and little enough for variables that double each other.
const MAX_EXPANDED: usize = 1 << 20;

/// What a container gets from its pod.
#[derive(Debug)]
pub(super) struct OfPod<'a> {
    pub(super) volumes: &'a [PodVolume],
    pub(super) security: Shared,
    pub(super) on_host: bool,
    pub(super) within: Namespace<'a>,
}

/// Reads a container into a task, and its ports.
pub(super) fn container(item: &Item<'_>, pod: OfPod<'_>, task: &mut TaskSpec) -> Result<Ports, Wrong> {
    let mut fields = item.fields()?;
    // It names the container among others; there are none.
    dns_label(&fields.need("name")?)?;
    let policy = fields.get("imagePullPolicy");
    task.image = Some(image(&fields.need("image")?, policy.as_ref())?);
    let mut room = MAX_EXPANDED;
    env(&mut fields, &mut room, pod.within.name, task)?;
    task.command = words(&mut fields, "command", &task.env, &mut room)?;
    task.arguments = words(&mut fields, "args", &task.env, &mut room)?;
    task.working_directory = fields.map("workingDir", |item| item.text())?;
    task.tty = fields.map("tty", |item| item.bool())?.unwrap_or(false);
    task.stdin = fields.map("stdin", |item| item.bool())?.unwrap_or(false);
    fields.only("stdinOnce", &["false"], "")?;
    fields.only("terminationMessagePath", &["/dev/termination-log"], "")?;
    fields.only("terminationMessagePolicy", &["File"], "")?;
    fields.refuse("lifecycle", "hooks are not supported")?;
    let ports = Ports::read(&mut fields, pod.on_host)?;
    probes(&mut fields, &ports, task)?;
    resources(&mut fields, item, pod.within.ranges, task)?;
    mounts(&mut fields, pod.volumes, task)?;
    of_container(&mut fields, item, pod.security, task)?;
    fields.done()?;
    Ok(ports)
}

/// An image, looked up as often as Kubernetes does: always, where nothing says which one is meant.
pub(super) fn image(item: &Item<'_>, policy: Option<&Item<'_>>) -> Result<Image, Wrong> {
    let text = item.text()?;
    let image: Image = text.parse().map_err(|error: String| item.wrong(&error))?;
    let name = text.rsplit('/').next().unwrap_or_default();
    let is_floating = !name.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    let pull = match policy {
        None if is_floating => Pull::Always,
        None => Pull::Missing,
        Some(policy) => match policy.text()?.as_str() {
            "Always" => Pull::Always,
            "IfNotPresent" => Pull::Missing,
            "Never" => Pull::Never,
            _ => return Err(policy.wrong("expected Always, IfNotPresent or Never")),
        },
    };
    Ok(image.pulled(pull))
}

fn words(
    container: &mut Fields<'_>,
    name: &'static str,
    env: &BTreeMap<String, String>,
    room: &mut usize,
) -> Result<Vec<String>, Wrong> {
    let words = container.items(name)?.into_iter();
    words.map(|word| expand(&word, env, room)).collect()
}

/// Reads the environment. Variables of configs stay as they are until the container starts anew, as in Kubernetes.
fn env(
    container: &mut Fields<'_>,
    room: &mut usize,
    namespace: &str,
    task: &mut TaskSpec,
) -> Result<(), Wrong> {
    for item in container.items("envFrom")? {
        let mut fields = item.fields()?;
        let prefix = fields.map("prefix", |item| item.text())?.unwrap_or_default();
        let of = [fields.get("configMapRef"), fields.get("secretRef")];
        fields.done()?;
        let ([Some(of), None] | [None, Some(of)]) = of else {
            return Err(item.wrong("needs one of configMapRef and secretRef"));
        };
        let mut of = of.fields()?;
        let config = reference(&mut of, "name", namespace)?;
        of.done()?;
        keep(&config, task);
        task.env_from.push(EnvFrom { config, prefix });
    }
    for item in container.items("env")? {
        let mut fields = item.fields()?;
        let name_item = fields.need("name")?;
        let name = name_item.text()?;
        let value = fields.map("value", |item| expand(&item, &task.env, room))?;
        let from = fields.get("valueFrom");
        fields.done()?;
        if task.env.contains_key(&name) || task.config_env.contains_key(&name) {
            return Err(name_item.wrong("there is another variable of this name"));
        }
        match from {
            Some(from) if value.is_some() => return Err(from.wrong("there is a value too")),
            Some(from) => {
                let of = value_from(&from, namespace)?;
                keep(&of.config, task);
                task.config_env.insert(name, of);
            }
            None => drop(task.env.insert(name, value.unwrap_or_default())),
        }
    }
    Ok(())
}

fn keep(config: &str, task: &mut TaskSpec) {
    task.on_change
        .entry(config.to_owned())
        .or_insert(Change(OnChange::Keep));
}

fn value_from(item: &Item<'_>, namespace: &str) -> Result<ConfigKey, Wrong> {
    let mut fields = item.fields()?;
    let own = "what a pod is called and has is in variables of its own: PROFFER_SERVICE, PROFFER_REPLICA, PROFFER_ADDRESS";
    fields.refuse("fieldRef", own)?;
    fields.refuse("resourceFieldRef", own)?;
    let of = [fields.get("configMapKeyRef"), fields.get("secretKeyRef")];
    fields.done()?;
    let ([Some(of), None] | [None, Some(of)]) = of else {
        return Err(item.wrong("needs one of configMapKeyRef and secretKeyRef"));
    };
    let mut of = of.fields()?;
    let config = reference(&mut of, "name", namespace)?;
    let key = of.need("key")?.text()?;
    of.done()?;
    Ok(ConfigKey { config, key })
}

/// A text in which variables are put in; takes as much as it comes to from the room there is.
fn expand(item: &Item<'_>, env: &BTreeMap<String, String>, room: &mut usize) -> Result<String, Wrong> {
    let expanded = expanded(&item.text()?, env, *room);
    let expanded = expanded.ok_or_else(|| item.wrong("is too large with its variables put in"))?;
    *room = room.saturating_sub(expanded.len());
    Ok(expanded)
}

/// Puts variables in for `$(NAME)`, as Kubernetes does: `$$` is a `$`, and what is not known stays as it is. None where more
/// than `room` bytes would come of it.
fn expanded(text: &str, env: &BTreeMap<String, String>, room: usize) -> Option<String> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let named = after.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let named = named.and_then(|(name, after)| Some((env.get(name)?.as_str(), after)));
        let (put, after) = match (after.strip_prefix('$'), named) {
            (Some(after), _) => ("$", after),
            (None, Some((value, after))) => (value, after),
            (None, None) => ("$", after),
        };
        expanded.push_str(put);
        rest = after;
        if expanded.len() > room {
            return None;
        }
    }
    expanded.push_str(rest);
    (expanded.len() <= room).then_some(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_stand_for_what_was_defined_before() {
        let env = [("A", "1"), ("B_C", "x y")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = BTreeMap::from(env);
        let with = |text| expanded(text, &env, 40).unwrap();
        assert_eq!(with("a$(A)b$(B_C)"), "a1bx y");
        assert_eq!(with("$$(A) $(NONE) $A $( $"), "$(A) $(NONE) $A $( $");
        assert_eq!(with("$$$(A)"), "$1");
        assert_eq!(with(""), "");
        assert_eq!(expanded("$(B_C)$(B_C)", &env, 6).unwrap(), "x yx y");
        assert_eq!(expanded("$(B_C)$(B_C)", &env, 5), None);
        assert_eq!(expanded("123456", &env, 5), None);
    }
}
