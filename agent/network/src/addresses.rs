//! Which addresses of the bridge's subnet are taken.
//!
//! The next one is given out, not the lowest: what others on the bridge remember of an address has time to fade.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::config::Subnet;

#[derive(Debug)]
pub(crate) struct Pool {
    subnet: Subnet,
    taken: BTreeSet<u32>,
    next: u32,
}

impl Pool {
    pub(crate) fn new(subnet: Subnet) -> Self {
        Self {
            subnet,
            taken: BTreeSet::new(),
            next: 0,
        }
    }

    /// Marks an address as taken; false when it is none of the subnet's.
    pub(crate) fn take_back(&mut self, address: Ipv4Addr) -> bool {
        let Some(n) = self.subnet.host_number(address) else {
            return false;
        };
        self.taken.insert(n);
        self.next = self.next.max(n + 1);
        true
    }

    /// Takes a free address; `None` when there is none.
    pub(crate) fn take(&mut self) -> Option<Ipv4Addr> {
        let n_hosts = self.subnet.n_hosts();
        let start = self.next % n_hosts;
        let mut candidates = (start..n_hosts).chain(0..start);
        let n = candidates.find(|n| !self.taken.contains(n))?;
        self.taken.insert(n);
        self.next = n + 1;
        Some(self.subnet.host(n))
    }

    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        if let Some(n) = self.subnet.host_number(address) {
            self.taken.remove(&n);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_to_one_at_a_time_and_again_only_when_its_turn_comes() {
        let mut pool = Pool::new("10.0.0.0/29".parse().unwrap());
        assert!(pool.take_back(Ipv4Addr::new(10, 0, 0, 3)));
        assert!(!pool.take_back(Ipv4Addr::new(10, 0, 1, 3)));
        let mut last = || pool.take().map(|address| address.octets()[3]);
        assert_eq!(
            [last(), last(), last(), last(), last()],
            [Some(4), Some(5), Some(6), Some(2), None]
        );
        pool.release(Ipv4Addr::new(10, 0, 0, 2));
        pool.release(Ipv4Addr::new(10, 0, 0, 5));
        assert_eq!(pool.take(), Some(Ipv4Addr::new(10, 0, 0, 5)));
    }
}
