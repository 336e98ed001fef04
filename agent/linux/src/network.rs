//! What the kernel counts for the interfaces of a container's network.

use std::fs;

use proffer_types::statistics::NetworkStatistics;

/// Where the numbers received and sent are in a line of `/proc/PID/net/dev` (proc(5)): bytes, packets, errors, drops.
const RECEIVED: usize = 0;
const SENT: usize = 8;

/// Reads what a process sees of its interfaces; nothing for one that is in this process's own network.
pub(crate) fn statistics(pid: u32) -> Vec<NetworkStatistics> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let (own, theirs) = (namespace("self"), namespace(&pid.to_string()));
    if theirs.is_none() || own == theirs {
        return Vec::new();
    }
    // A container that ends meanwhile has no counts any more.
    parse(&fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default())
}

fn parse(text: &str) -> Vec<NetworkStatistics> {
    // The headings have no colon.
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let lines = lines.filter(|(interface, _)| interface.trim() != "lo");
    lines
        .map(|(interface, numbers)| {
            let numbers = numbers
                .split_whitespace()
                .map(|number| number.parse().unwrap_or(0));
            let numbers = numbers.collect::<Vec<u64>>();
            let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
            NetworkStatistics {
                interface: interface.trim().to_owned(),
                received_bytes: number(RECEIVED),
                received_packets: number(RECEIVED + 1),
                received_dropped: number(RECEIVED + 3),
                sent_bytes: number(SENT),
                sent_packets: number(SENT + 1),
                sent_dropped: number(SENT + 3),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_but_loopback_is_counted() {
        let text = "Inter-|   Receive                |  Transmit\n \
                    face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed\n    \
                    lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n  \
                    eth0: 100 2 0 1 0 0 0 0 300 4 0 5 0 0 0 0\n";
        let expected = NetworkStatistics {
            interface: "eth0".into(),
            received_bytes: 100,
            received_packets: 2,
            received_dropped: 1,
            sent_bytes: 300,
            sent_packets: 4,
            sent_dropped: 5,
        };
        assert_eq!(parse(text), [expected]);
    }
}
