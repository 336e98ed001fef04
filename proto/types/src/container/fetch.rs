//! Files a task wants in its sandbox before it starts.

/// One file or archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// `http://`, `https://`, `file://` (only below what the agent's operator allows), or `data:` with the file itself.
    pub uri: String,
    /// Of the file as fetched, 64 hex digits in lower case; another content fails the task.
    pub sha256: Option<String>,
    /// Relative to the sandbox, without `..`; absent means the last part of the URI's path. Of an archive that is
    /// extracted, the directory it goes to; absent means the sandbox itself.
    pub destination: Option<String>,
    pub executable: bool,
    /// Unpack it: `.tar`, `.tar.gz`, `.tgz`, `.tar.zst`, `.tar.bz2`, `.zip`. The archive itself is not kept.
    pub extract: bool,
    /// Keep it for other tasks, and take it from there.
    pub cache: bool,
}

impl Fetch {
    /// Where it goes, relative to the sandbox: the destination, or the last part of the URI's path if that is a name.
    #[must_use]
    pub fn file_name(&self) -> Option<&str> {
        if let Some(destination) = &self.destination {
            return Some(destination);
        }
        let (scheme, rest) = self.uri.split_once("://")?;
        if scheme.starts_with("data:") {
            return None;
        }
        let path = rest.split(['?', '#']).next()?;
        let (_, name) = path.rsplit_once('/')?;
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_destination_or_the_end_of_its_path() {
        let name = |uri: &str, destination: Option<&str>| {
            let fetch = Fetch {
                uri: uri.to_owned(),
                sha256: None,
                destination: destination.map(ToOwned::to_owned),
                executable: false,
                extract: false,
                cache: false,
            };
            fetch.file_name().map(ToOwned::to_owned)
        };
        assert_eq!(
            name("https://x.org/a/b.tar?sig=/c#/d", None).as_deref(),
            Some("b.tar")
        );
        assert_eq!(name("https://x.org/a/b", Some("c/d")).as_deref(), Some("c/d"));
        for nameless in [
            "https://x.org",
            "https://x.org/a/",
            "https://x.org?a=/b",
            "data:,a://b/c",
        ] {
            assert_eq!(name(nameless, None), None, "{nameless}");
        }
    }
}
