//! How a master that stands by says who leads.
//!
//! It refuses with UNAVAILABLE, and names the leader's address in the metadata of the refusal. Who is told so asks there.

use tonic::Status;
use tonic::metadata::MetadataValue;

/// The metadata key, for clients in any language.
pub const LEADER_KEY: &str = "proffer-leader";

/// Longer than any `host:port`: a host name has at most 253 characters.
const MAX_ADDRESS_BYTES: usize = 300;

/// A refusal that names the leader, where there is one.
#[must_use]
pub fn refusal(cause: impl Into<String>, leader: Option<&str>) -> Status {
    let mut status = Status::unavailable(cause);
    if let Some(address) = leader.and_then(|leader| MetadataValue::try_from(leader).ok()) {
        status.metadata_mut().insert(LEADER_KEY, address);
    }
    status
}

/// The leader that a refusal names, if it looks like `host:port`.
#[must_use]
pub fn named(status: &Status) -> Option<&str> {
    let address = status.metadata().get(LEADER_KEY)?.to_str().ok()?;
    is_address(address).then_some(address)
}

/// Whether a text can be the address of a master: `host:port`, nothing around it.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    text.len() <= MAX_ADDRESS_BYTES
        && !host.is_empty()
        && host.chars().all(is_host)
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The masters of one cluster, dialled in turn.
#[derive(Debug, Clone)]
pub struct Masters {
    listed: Vec<String>,
    n_dialled: usize,
    named: Option<String>,
}

impl Masters {
    /// Of addresses, `host:port`.
    #[must_use]
    pub fn new(listed: Vec<String>) -> Self {
        Self {
            listed,
            n_dialled: 0,
            named: None,
        }
    }

    /// Who to dial next: the leader that was named last, once; else the next of the list, from its beginning after its end.
    /// `None` when nobody is listed.
    pub fn dial(&mut self) -> Option<String> {
        self.named.take().or_else(|| {
            let n_listed = self.listed.len().max(1);
            let next = self.listed.get(self.n_dialled % n_listed)?;
            self.n_dialled += 1;
            Some(next.clone())
        })
    }

    /// A master named the leader.
    pub fn follow(&mut self, leader: &str) {
        self.named = Some(leader.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_the_leader_and_nothing_that_is_no_address() {
        let named_by = |leader| named(&refusal("standing by", leader)).map(str::to_owned);
        assert_eq!(named_by(None), None);
        for good in ["10.0.0.1:5050", "master-1.example:80", "[::1]:5050"] {
            assert_eq!(named_by(Some(good)).as_deref(), Some(good));
        }
        for bad in [
            "", "x", "x:0", "x:99999", "a/b:1", "a b:1", "a@b:1", "a\n:1", ":5050",
        ] {
            assert_eq!(named_by(Some(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_leader_that_was_named_comes_before_the_list_and_only_once() {
        let mut masters = Masters::new(vec!["a:1".to_owned(), "b:1".to_owned()]);
        let mut dialled = vec![masters.dial(), masters.dial(), masters.dial()];
        masters.follow("c:1");
        dialled.extend([masters.dial(), masters.dial(), masters.dial()]);
        let dialled = dialled.into_iter().flatten().collect::<Vec<_>>();
        assert_eq!(dialled, ["a:1", "b:1", "a:1", "c:1", "b:1", "a:1"]);
        assert_eq!(Masters::new(Vec::new()).dial(), None);
    }
}
