//! A container: what it runs, with which environment.

use std::collections::BTreeMap;

use super::fields::{Fields, Item};
use super::limit_range::LimitRange;
use super::metadata::dns_label;
use super::ports::Ports;
use super::probe::probes;
use super::resources::resources;
use super::security::{Shared, of_container};
use super::tree::Wrong;
use super::volume::{NO_OBJECTS, PodVolume, mounts};
use crate::spec::{Image, Pull, TaskSpec};

/// What environment and command of a container may come to once variables are put in, in bytes: more than a service may have,
/// and little enough for variables that double each other.
const MAX_EXPANDED: usize = 1 << 20;

/// What a container gets from its pod.
#[derive(Debug)]
pub(super) struct OfPod<'a> {
    pub(super) volumes: &'a [PodVolume],
    pub(super) security: Shared,
    pub(super) on_host: bool,
    /// Those of its namespace.
    pub(super) ranges: &'a [LimitRange],
}

/// Reads a container into a task, and its ports.
pub(super) fn container(item: &Item<'_>, pod: OfPod<'_>, task: &mut TaskSpec) -> Result<Ports, Wrong> {
    let mut fields = item.fields()?;
    // It names the container among others; there are none.
    dns_label(&fields.need("name")?)?;
    let policy = fields.get("imagePullPolicy");
    task.image = Some(image(&fields.need("image")?, policy.as_ref())?);
    let mut room = MAX_EXPANDED;
    task.env = env(&mut fields, &mut room)?;
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
    resources(&mut fields, item, pod.ranges, task)?;
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

fn env(container: &mut Fields<'_>, room: &mut usize) -> Result<BTreeMap<String, String>, Wrong> {
    container.refuse("envFrom", NO_OBJECTS)?;
    let mut env = BTreeMap::new();
    for item in container.items("env")? {
        let mut fields = item.fields()?;
        let name = fields.need("name")?;
        let value = fields.map("value", |item| expand(&item, &env, room))?;
        if let Some(item) = fields.get("valueFrom") {
            return Err(item.wrong(&format!("only a value is taken: {NO_OBJECTS}")));
        }
        fields.done()?;
        if env.insert(name.text()?, value.unwrap_or_default()).is_some() {
            return Err(name.wrong("there is another variable of this name"));
        }
    }
    Ok(env)
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
