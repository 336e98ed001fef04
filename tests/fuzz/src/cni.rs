//! What CNI plugins print: results, and why they failed. Whatever it is, what becomes of it for the container is lines of
//! `/etc/resolv.conf` that say one thing each, and for people a message of bounded length.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use proffer_network::{cni_complaint, cni_result, resolv_conf};
use serde_json::json;

use crate::{joined, pieces};

const RESULT: u8 = 0;

/// As wait(2) says it of exit code 1.
const FAILED: i32 = 1 << 8;

/// Longer than a person reads.
const MAX_MESSAGE_BYTES: usize = 2 << 10;

/// The most entries of one list.
const MAX_ENTRIES: usize = 64;

/// The first words of lines.
const WORDS: [&str; 4] = ["nameserver", "domain", "search", "options"];

pub(crate) fn run(input: &[u8]) {
    for (kind, piece) in pieces(input) {
        if kind != RESULT {
            let (output, errors) = piece.split_at(piece.len() / 2);
            for (output, errors) in [(piece, &b""[..]), (output, errors)] {
                let why = cni_complaint(
                    ExitStatus::from_raw(FAILED),
                    output,
                    &errors[..errors.len().min(1000)],
                );
                assert!(!why.is_empty() && why.len() <= 3 * MAX_MESSAGE_BYTES);
            }
            continue;
        }
        match cni_result(piece) {
            Err(error) => assert!(error.to_string().len() <= MAX_MESSAGE_BYTES),
            Ok((addresses, dns)) => {
                assert!(addresses.len() <= MAX_ENTRIES && dns.nameservers.len() <= MAX_ENTRIES);
                let Ok(text) = resolv_conf(&[], &dns, "", true) else {
                    continue;
                };
                let lines = dns.nameservers.len() + WORDS.len();
                assert!(text.lines().count() <= lines);
                assert!(
                    text.lines()
                        .all(|line| WORDS.iter().any(|word| line.starts_with(word)))
                );
                assert!(!text.contains(|c: char| c.is_control() && c != '\n'));
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let result = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "mac": "00:11:22:33:44:55", "sandbox": "/run/netns/a"}],
        "ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 0}, {"address": "fd00::5/64"}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
        "dns": {"nameservers": ["10.1.0.1"], "domain": "example.org", "search": ["a.example.org"], "options": ["ndots:2"]},
    });
    let complaint =
        json!({"cniVersion": "1.0.0", "code": 7, "msg": "no address", "details": "the range is full"});
    vec![
        joined(&[(RESULT, result.to_string().into_bytes())]),
        joined(&[(RESULT + 1, complaint.to_string().into_bytes())]),
        joined(&[
            (RESULT, b"{}".to_vec()),
            (RESULT + 1, b"panic: no such thing".to_vec()),
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_of_plugins_that_are_understood() {
        let seeds = seeds();
        let (addresses, dns) = cni_result(pieces(&seeds[0])[0].1).unwrap();
        assert_eq!(addresses.len(), 2);
        assert_eq!(
            resolv_conf(&[], &dns, "", true).unwrap(),
            "nameserver 10.1.0.1\ndomain example.org\nsearch a.example.org\noptions ndots:2\n"
        );
        let why = cni_complaint(ExitStatus::from_raw(FAILED), pieces(&seeds[1])[0].1, b"");
        assert_eq!(why, "no address (code 7); the range is full");
    }
}
