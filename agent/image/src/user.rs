//! Finds out who `user[:group]` is, by the `/etc/passwd` and `/etc/group` of the image itself.
//!
//! The rules are those of the OCI image specification's `User`, as Docker and runc read them.

use std::path::PathBuf;

use thiserror::Error;

use crate::view::{ViewError, read_file};

/// The largest `/etc/passwd` or `/etc/group` that is read, in bytes.
const MAX_ACCOUNTS_BYTES: u64 = 1 << 20;
/// The most supplementary groups; the kernel's NGROUPS_MAX.
const MAX_GROUPS: usize = 65536;

/// Whom a task runs as, in numbers of the image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups: those that list the user, unless a group was named.
    pub groups: Vec<u32>,
    /// The user's home directory, where the image knows it.
    pub home: Option<String>,
}

/// Why nobody can be found.
#[derive(Debug, Error)]
pub enum ResolveUserError {
    #[error("user `{0}` is not in the task's /etc/passwd")]
    NoUser(String),
    #[error("group `{0}` is not in the task's /etc/group")]
    NoGroup(String),
    #[error("`{}` is not `user[:group]`", .0.escape_debug())]
    Malformed(String),
    #[error(transparent)]
    View(#[from] ViewError),
}

struct Account {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// Resolves `user[:group]`, each a name or a number; empty means root. `layers` are an image's, the topmost first; `/`
/// alone means the host. Blocks.
pub fn resolve_user(layers: &[PathBuf], who: &str) -> Result<User, ResolveUserError> {
    let (user, group) = match who.split_once(':') {
        Some((user, group)) if !group.is_empty() && !group.contains(':') => (user, Some(group)),
        Some(_) => return Err(ResolveUserError::Malformed(who.to_owned())),
        None => (who, None),
    };
    let passwd = read_file(layers, "/etc/passwd", MAX_ACCOUNTS_BYTES)?.unwrap_or_default();
    let groups = read_file(layers, "/etc/group", MAX_ACCOUNTS_BYTES)?.unwrap_or_default();
    let (passwd, groups) = (String::from_utf8_lossy(&passwd), String::from_utf8_lossy(&groups));
    let wanted = if user.is_empty() { "0" } else { user };
    let number = id(wanted);
    // A name that looks like a number is a name first.
    let account =
        find(&passwd, |one| one.name == wanted).or_else(|| find(&passwd, |one| Some(one.uid) == number));
    let (uid, gid) = match (&account, number) {
        (Some(account), _) => (account.uid, account.gid),
        (None, Some(uid)) => (uid, 0),
        (None, None) => return Err(ResolveUserError::NoUser(user.escape_debug().to_string())),
    };
    let (gid, supplementary) = match group {
        Some(group) => (group_id(&groups, group)?, Vec::new()),
        None => (
            gid,
            account
                .as_ref()
                .map(|account| memberships(&groups, account, gid))
                .unwrap_or_default(),
        ),
    };
    let home = account
        .map(|account| account.home)
        .filter(|home| home.starts_with('/') && !home.contains('\0'));
    Ok(User {
        uid,
        gid,
        groups: supplementary,
        home,
    })
}

/// An id; the largest number is none, see chown(2).
fn id(text: &str) -> Option<u32> {
    text.parse().ok().filter(|id| *id != u32::MAX)
}

fn find(passwd: &str, is_wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    passwd.lines().filter_map(account).find(is_wanted)
}

fn account(line: &str) -> Option<Account> {
    let mut fields = line.trim().split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let uid = id(fields.nth(1)?)?;
    let gid = id(fields.next()?)?;
    let home = fields.nth(1).unwrap_or_default().to_owned();
    Some(Account { name, uid, gid, home })
}

/// Name, id and members of each group.
fn groups(text: &str) -> impl Iterator<Item = (&str, u32, &str)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let gid = id(fields.nth(1)?)?;
        Some((name, gid, fields.next().unwrap_or_default()))
    })
}

fn group_id(text: &str, wanted: &str) -> Result<u32, ResolveUserError> {
    let named = groups(text)
        .find(|(name, ..)| *name == wanted)
        .map(|(_, gid, _)| gid);
    named
        .or_else(|| id(wanted))
        .ok_or_else(|| ResolveUserError::NoGroup(wanted.escape_debug().to_string()))
}

fn memberships(text: &str, account: &Account, primary: u32) -> Vec<u32> {
    let mut found: Vec<u32> = groups(text)
        .filter(|(_, gid, members)| {
            *gid != primary && members.split(',').any(|member| member == account.name)
        })
        .map(|(_, gid, _)| gid)
        .take(MAX_GROUPS)
        .collect();
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// The directory lives as long as its layers are looked at.
    struct Layers {
        _dir: tempfile::TempDir,
        paths: Vec<PathBuf>,
    }

    /// Layers with files, the topmost first.
    fn layers(files: &[&[(&str, &str)]]) -> Layers {
        let dir = tempfile::tempdir().unwrap();
        let mut paths = Vec::new();
        for (n, files) in files.iter().enumerate() {
            let layer = dir.path().join(n.to_string());
            fs::create_dir(&layer).unwrap();
            for (path, content) in *files {
                let path = layer.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, content).unwrap();
            }
            paths.push(layer);
        }
        Layers { _dir: dir, paths }
    }

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:34::/srv:\n7:x:8:9::/:\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:web\nssl:x:50:mail,web\nlog:x:51:web\nssl2:x:50:web\n";

    fn who(layers: &Layers, text: &str) -> (u32, u32, Vec<u32>) {
        let user = resolve_user(&layers.paths, text).unwrap();
        (user.uid, user.gid, user.groups)
    }

    #[test]
    fn names_and_numbers_are_those_of_the_image() {
        let image = layers(&[&[("etc/passwd", PASSWD), ("etc/group", GROUP)]]);
        assert_eq!(who(&image, ""), (0, 0, vec![]));
        assert_eq!(who(&image, "web"), (33, 34, vec![50, 51]));
        assert_eq!(who(&image, "33"), (33, 34, vec![50, 51]));
        assert_eq!(who(&image, "web:ssl"), (33, 50, vec![]));
        assert_eq!(who(&image, "web:4000"), (33, 4000, vec![]));
        assert_eq!(who(&image, "5:6"), (5, 6, vec![]));
        assert_eq!(who(&image, "5"), (5, 0, vec![]));
        assert_eq!(who(&image, "7"), (8, 9, vec![]));
        assert_eq!(
            resolve_user(&image.paths, "web").unwrap().home.as_deref(),
            Some("/srv")
        );
        for bad in ["mail", "web:mail", "web:", "a:b:c", "4294967295", "-1"] {
            assert!(resolve_user(&image.paths, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_image_without_accounts_knows_numbers_only() {
        let image = layers(&[&[("bin/x", "")]]);
        assert_eq!(who(&image, "12"), (12, 0, vec![]));
        assert_eq!(who(&image, ""), (0, 0, vec![]));
        assert!(matches!(
            resolve_user(&image.paths, "web"),
            Err(ResolveUserError::NoUser(_))
        ));
    }

    #[test]
    fn the_topmost_layer_that_has_the_file_counts() {
        let image = layers(&[
            &[("etc/x", "")],
            &[("etc/passwd", "web:x:1:1::/:\n")],
            &[("etc/passwd", PASSWD)],
        ]);
        assert_eq!(who(&image, "web"), (1, 1, vec![]));
    }

    #[test]
    fn what_an_upper_layer_took_away_does_not_count() {
        let image = layers(&[&[("etc/x", "")], &[("etc/passwd", PASSWD)]]);
        assert_eq!(who(&image, "web").0, 33);
        rustix::fs::setxattr(
            image.paths[0].join("etc"),
            "user.overlay.opaque",
            b"y",
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        assert!(resolve_user(&image.paths, "web").is_err());
    }

    #[test]
    fn links_lead_through_the_image_and_never_out_of_it() {
        let image = layers(&[&[], &[("srv/passwd", PASSWD)]]);
        fs::create_dir(image.paths[0].join("etc")).unwrap();
        symlink("../../../../../srv/passwd", image.paths[0].join("etc/passwd")).unwrap();
        assert_eq!(who(&image, "web").0, 33);
        symlink("/etc/group", image.paths[0].join("etc/group")).unwrap();
        assert!(matches!(
            resolve_user(&image.paths, "root"),
            Err(ResolveUserError::View(ViewError::TooManyLinks { .. }))
        ));
    }

    #[test]
    fn a_file_that_would_block_or_never_ends_is_refused() {
        let image = layers(&[&[("etc/group", "")]]);
        let passwd = image.paths[0].join("etc/passwd");
        rustix::fs::mkfifoat(rustix::fs::CWD, &passwd, rustix::fs::Mode::RWXU).unwrap();
        assert!(matches!(
            resolve_user(&image.paths, "x"),
            Err(ResolveUserError::View(ViewError::NotAFile { .. }))
        ));
        fs::remove_file(&passwd).unwrap();
        fs::File::create(&passwd)
            .unwrap()
            .set_len(MAX_ACCOUNTS_BYTES + 1)
            .unwrap();
        assert!(matches!(
            resolve_user(&image.paths, "x"),
            Err(ResolveUserError::View(ViewError::TooLarge { .. }))
        ));
    }
}
