//! What is written by people or travels as text: what is read must be written so that it reads the same again.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proffer_types::resources::format::{parse_millis, parse_size};
use proffer_types::{AgentId, FrameworkId, OfferId, Ranges, Resources, Role, TaskId};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    same::<Resources>(text);
    same::<Ranges>(text);
    same::<Role>(text);
    same::<AgentId>(text);
    same::<FrameworkId>(text);
    same::<OfferId>(text);
    same::<TaskId>(text);
    let _ = (parse_millis(text), parse_size(text));
}

fn same<T>(text: &str)
where
    T: FromStr<Err: Debug + PartialEq> + Display + PartialEq + Debug,
{
    // No resources are written as a word, for people.
    let value = text
        .parse::<T>()
        .ok()
        .filter(|value| value.to_string() != "nothing");
    if let Some(value) = value {
        assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(&value));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seeds = [
        "cpus:4;mem:1GiB;ports:[31000-32000,5]",
        "cpus(web):0.5;disk(+a/b):10GiB",
        "[1-2,4-4]",
        "a/b/c",
        "1.5",
        "64MiB",
    ];
    seeds.map(|seed| seed.as_bytes().to_vec()).into()
}
