//! Bundles as a person writes and reads them.
//!
//! ```text
//! cpus:0.5;mem:64MiB;ports:[31000-32000];zones:{a,b}        plain resources
//! mem(prod):4GiB                                            reserved to prod, static
//! mem(prod,+prod/db):4GiB                                   refined: prod/db above prod, dynamic
//! disk(+prod)[data:/var/data]:10GiB                         a volume: id and container path
//! disk(+prod)[logs:/var/log:shared]:10GiB                   a volume that tasks share
//! cpus{rev}:2                                               revocable
//! ```
//!
//! After a name comes what sets it apart: `(..)` the stack of reservations, lowest first, where `+` marks a
//! dynamic one and `(*)` is the same as none; then `{rev}`; then `[..]` the volume. In roles, ids and paths
//! a backslash before any character takes it as it is, so that they may hold the characters of the syntax.
//! A name may be given once a kind. The labels of reservations have no text form: they are left out.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::format::{ParseResourcesError, format_scalar, parse_millis, parse_size};
use super::{Kind, Ranges, Reservation, ResourceName, Resources, Set, Volume};
use crate::id::VolumeId;
use crate::role::Role;

impl FromStr for Ranges {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, ParseResourcesError> {
        let refuse = || ParseResourcesError::Ranges(text.to_owned());
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(refuse)?;
        let pair = |item: &str| {
            let (begin, end) = item.split_once('-').unwrap_or((item, item));
            let begin: u64 = begin.trim().parse().ok()?;
            let end: u64 = end.trim().parse().ok()?;
            (begin <= end).then_some((begin, end))
        };
        let pairs: Option<Vec<_>> = inner
            .split(',')
            .filter(|item| !item.trim().is_empty())
            .map(pair)
            .collect();
        Ok(Self::new(pairs.ok_or_else(refuse)?))
    }
}

impl FromStr for Set {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, ParseResourcesError> {
        let inner = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let items = inner.map(|inner| inner.split(',').map(str::trim).filter(|item| !item.is_empty()));
        items
            .and_then(|items| Self::new(items).ok())
            .ok_or_else(|| ParseResourcesError::Set(text.to_owned()))
    }
}

impl FromStr for Resources {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, ParseResourcesError> {
        let mut seen = std::collections::BTreeSet::new();
        let mut by_kind: BTreeMap<Kind, Self> = BTreeMap::new();
        for item in items(text)
            .into_iter()
            .map(str::trim)
            .filter(|item| !item.is_empty())
        {
            let shape = || ParseResourcesError::Shape(item.to_owned());
            let name_end = item.find(['(', '{', '[', ':']).ok_or_else(shape)?;
            let (name, rest) = item.split_at(name_end);
            let name = ResourceName::new(name.trim())?;
            let (kind, rest) = kind(item, rest)?;
            let value = rest.trim_start().strip_prefix(':').ok_or_else(shape)?.trim();
            if !seen.insert((kind.clone(), name.clone())) {
                return Err(ParseResourcesError::Twice(name.to_string()));
            }
            let bundle = by_kind.entry(kind).or_default();
            *bundle = with_value(std::mem::take(bundle), name, value)?;
        }
        let with = |all: Self, (kind, bundle)| all.with_kind(kind, bundle).map_err(Into::into);
        by_kind.into_iter().try_fold(Self::new(), with)
    }
}

fn with_value(bundle: Resources, name: ResourceName, value: &str) -> Result<Resources, ParseResourcesError> {
    Ok(match &name {
        ResourceName::Ports => bundle.with_ranges(name, value.parse()?),
        ResourceName::Mem | ResourceName::Disk => bundle.with(name, parse_size(value)?),
        ResourceName::Custom(_) if value.starts_with('[') => bundle.with_ranges(name, value.parse()?),
        ResourceName::Custom(_) if value.starts_with('{') => bundle.with_set(name, value.parse()?),
        ResourceName::Cpus | ResourceName::NetMbps | ResourceName::Custom(_) => {
            bundle.with(name, parse_millis(value)?)
        }
    })
}

/// Splits at each `;` that no backslash precedes.
fn items(text: &str) -> Vec<&str> {
    let (mut items, mut from, mut is_literal) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        if c == ';' && !is_literal {
            items.push(&text[from..at]);
            from = at + 1;
        }
        is_literal = c == '\\' && !is_literal;
    }
    items.push(&text[from..]);
    items
}

/// Reads what stands between a name and its colon; returns the rest.
fn kind<'a>(item: &str, rest: &'a str) -> Result<(Kind, &'a str), ParseResourcesError> {
    let refuse = || ParseResourcesError::KindShape(item.to_owned());
    let mut kind = Kind::default();
    let mut rest = rest.trim_start();
    if let Some(mut inner) = rest.strip_prefix('(') {
        loop {
            inner = inner.trim_start();
            let is_static = !inner.starts_with('+');
            let (role, stop, after) = literal(inner.trim_start_matches('+')).ok_or_else(refuse)?;
            let role = Role::new(role.trim_end())?;
            kind.reservations.push(Reservation {
                is_static,
                ..Reservation::dynamic(role)
            });
            inner = after;
            match stop {
                ',' => {}
                ')' => break,
                _ => return Err(refuse()),
            }
        }
        if kind.reservations == [Reservation::fixed(Role::default())] {
            kind.reservations.clear();
        }
        rest = inner.trim_start();
    }
    if rest.starts_with('{') {
        rest = rest.strip_prefix("{rev}").ok_or_else(refuse)?.trim_start();
        kind.revocable = true;
    }
    if let Some(inner) = rest.strip_prefix('[') {
        let (volume, after) = volume(inner, &refuse)?;
        kind.volume = Some(volume);
        rest = after;
    }
    kind.check()?;
    Ok((kind, rest))
}

fn volume<'a>(
    inner: &'a str,
    refuse: &impl Fn() -> ParseResourcesError,
) -> Result<(Volume, &'a str), ParseResourcesError> {
    let (id, ':', inner) = literal(inner).ok_or_else(refuse)? else {
        return Err(refuse());
    };
    let (container_path, stop, mut rest) = literal(inner).ok_or_else(refuse)?;
    let shared = stop == ':';
    if shared {
        rest = rest.strip_prefix("shared]").ok_or_else(refuse)?;
    } else if stop != ']' {
        return Err(refuse());
    }
    let id = VolumeId::new(id)?;
    let volume = Volume {
        id,
        container_path,
        shared,
    };
    Ok((volume, rest))
}

fn is_syntax(c: char) -> bool {
    matches!(
        c,
        '\\' | ';' | ':' | ',' | '+' | '(' | ')' | '[' | ']' | '{' | '}'
    )
}

/// Reads up to the next character of the syntax; returns what was read, that character and the rest.
fn literal(text: &str) -> Option<(String, char, &str)> {
    let mut read = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '\\' => read.push(chars.next()?),
            stop if is_syntax(stop) => return Some((read, stop, chars.as_str())),
            c => read.push(c),
        }
    }
}

struct Literal<'a>(&'a str);

impl fmt::Display for Literal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match is_syntax(c) {
            true => write!(f, "\\{c}"),
            false => write!(f, "{c}"),
        })
    }
}

impl fmt::Display for Kind {
    /// Writes what stands between a name and its colon; nothing for a plain kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, reservation) in self.reservations.iter().enumerate() {
            let before = if nth == 0 { "(" } else { "," };
            let sign = if reservation.is_static { "" } else { "+" };
            write!(f, "{before}{sign}{}", Literal(reservation.role.as_str()))?;
        }
        f.write_str(if self.is_reserved() { ")" } else { "" })?;
        f.write_str(if self.revocable { "{rev}" } else { "" })?;
        if let Some(volume) = &self.volume {
            let (id, path) = (Literal(volume.id.as_str()), Literal(&volume.container_path));
            let shared = if volume.shared { ":shared" } else { "" };
            write!(f, "[{id}:{path}{shared}]")?;
        }
        Ok(())
    }
}

fn write_bundle(all: &mut Vec<String>, kind: &Kind, bundle: &Resources) {
    let scalars = bundle.scalars();
    all.extend(scalars.map(|(name, units)| format!("{name}{kind}:{}", format_scalar(name, units))));
    all.extend(
        bundle
            .all_ranges()
            .map(|(name, ranges)| format!("{name}{kind}:{ranges}")),
    );
    all.extend(bundle.all_sets().map(|(name, set)| format!("{name}{kind}:{set}")));
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Vec::new();
        write_bundle(&mut all, &Kind::default(), &self.plain());
        for (kind, bundle) in self.kinds() {
            write_bundle(&mut all, kind, bundle);
        }
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(";"))
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
