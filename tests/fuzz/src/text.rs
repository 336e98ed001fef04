//! What is written by people or travels as text: what is read must be written so that it reads the same again. Sizes are
//! rounded for people, so of resources the text stays the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use proffer_image::ImageReference;
use proffer_types::resources::format::{parse_millis, parse_size};
use proffer_types::{AgentId, FrameworkId, OfferId, Ranges, Resources, Role, TaskId};

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    same_text(text);
    same::<Ranges>(text);
    same::<Role>(text);
    same::<AgentId>(text);
    same::<FrameworkId>(text);
    same::<OfferId>(text);
    same::<TaskId>(text);
    if let Ok(reference) = ImageReference::parse(text) {
        assert_eq!(
            ImageReference::parse(&reference.to_string()).as_ref(),
            Ok(&reference)
        );
    }
    let _ = (parse_millis(text), parse_size(text));
}

fn same<T>(text: &str)
where
    T: FromStr<Err: Debug + PartialEq> + Display + PartialEq + Debug,
{
    if let Ok(value) = text.parse::<T>() {
        assert_eq!(value.to_string().parse::<T>().as_ref(), Ok(&value));
    }
}

fn same_text(text: &str) {
    let written = text.parse().map(|value: Resources| value.to_string());
    // None are written as a word.
    if let Some(written) = written.ok().filter(|written| written != "nothing") {
        let again = written.parse().map(|value: Resources| value.to_string());
        assert_eq!(again.as_ref(), Ok(&written));
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
        "registry.example:5000/team/app:1.2",
        "oci:/srv/images/app:1",
    ];
    seeds.map(|seed| seed.as_bytes().to_vec()).into()
}
