//! What an etcd answers that somebody else wrote to: the head, a staged commit, records and their parts.

use proffer_store::etcd_bytes;

use crate::{joined, pieces};

const HEAD: u8 = 0;
const STAGED: u8 = 1;
const KEY: u8 = 2;
const VALUE: u8 = 3;

const PREFIX: &str = "p";

pub(crate) fn run(input: &[u8]) {
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for (kind, piece) in pieces(input) {
        match kind {
            HEAD => {
                if let Some(written) = etcd_bytes::head(piece) {
                    assert_eq!(written, piece);
                }
            }
            STAGED => {
                if let Some(written) = etcd_bytes::staged(piece) {
                    assert_eq!(written, piece);
                }
            }
            KEY => keys.push(piece),
            VALUE => values.push(piece),
            _ => {}
        }
    }
    let n_bytes: usize = values.iter().map(|value| value.len()).sum();
    let pairs = keys.into_iter().zip(values);
    if let Ok(entries) = etcd_bytes::records(PREFIX, pairs) {
        let n_read: usize = entries.iter().map(|entry| entry.value.len()).sum();
        assert!(n_read <= n_bytes);
        assert!(entries.iter().all(|entry| !entry.key.contains('\0')));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain = [&1_u32.to_be_bytes()[..], &7_u64.to_be_bytes()].concat();
    let with_staged = [&plain[..], &9_u64.to_be_bytes(), &2_u32.to_be_bytes()].concat();
    let text = |text: &[u8]| [&[0, 0, 0, u8::try_from(text.len()).unwrap_or(0)], text].concat();
    let put = [vec![1], text(b"p/data/a"), text(b"value")].concat();
    let delete = [vec![0], text(b"p/data/b"), text(b"p/data/b\x01")].concat();
    let record = |n_parts: u32| [&7_u64.to_be_bytes()[..], &n_parts.to_be_bytes(), b"first"].concat();
    vec![
        joined(&[(HEAD, plain), (HEAD, with_staged)]),
        joined(&[(STAGED, [put, delete].concat())]),
        joined(&[
            (KEY, b"p/data/a".to_vec()),
            (VALUE, record(1)),
            (KEY, b"p/data/a\0\0\0\0\x01".to_vec()),
            (VALUE, b"second".to_vec()),
            (KEY, b"p/data/b".to_vec()),
            (VALUE, record(0)),
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_of_a_store_that_is_read() {
        let seeds = seeds();
        for (kind, piece) in seeds.iter().flat_map(|seed| pieces(seed)) {
            assert!(kind != HEAD || etcd_bytes::head(piece).is_some());
            assert!(kind != STAGED || etcd_bytes::staged(piece).is_some());
        }
        let last = pieces(&seeds[2]);
        let pairs = last.chunks_exact(2).map(|pair| (pair[0].1, pair[1].1));
        let entries = etcd_bytes::records(PREFIX, pairs).unwrap();
        let values: Vec<_> = entries.iter().map(|entry| entry.value.as_slice()).collect();
        assert_eq!(values, [&b"firstsecond"[..], b"first"]);
    }
}
