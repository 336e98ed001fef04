//! What a container's own init leaves behind: files that whoever is root on the host, or a broken disk, may have changed.

use proffer_init::record::Record;
use proffer_init::report::Report;
use proffer_init::{older, program};

pub(crate) fn run(input: &[u8]) {
    if let Some(record) = Record::from_bytes(input) {
        assert_eq!(record.to_bytes(), input);
    }
    let _ = Report::parse(input);
    let half = input.len() / 2;
    let _ = older::end(&input[..half], &input[half..]);
    if let Some((template, rest)) = program::split(input) {
        assert!(template.len() + rest.len() <= input.len());
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let record = Record {
        wait_status: 9,
        wall_time_us: 1_000,
    };
    vec![
        record.to_bytes().to_vec(),
        program::file(b"template", b"program"),
        vec![0; 64],
    ]
}
