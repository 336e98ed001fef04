//! What a hostile peer may send, as bytes, against the decoders that see it first and the cores behind them.
//!
//! A target takes any bytes; it panics where the program would, and where what was decoded does not mean the same when it
//! is sent on. `cargo test -p proffer-fuzz` tries some thousand variations of valid input and all that was ever found;
//! `make fuzz` searches, guided by coverage, for as long as one likes.

mod agent;
mod cni;
mod image;
mod master;
mod messages;
mod records;
mod store;
mod text;

/// Something that bytes are thrown at.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    /// Panics when something is wrong.
    pub run: fn(&[u8]),
    /// Inputs that get far, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "messages",
        run: messages::run,
        seeds: messages::seeds,
    },
    Target {
        name: "master",
        run: master::run,
        seeds: master::seeds,
    },
    Target {
        name: "agent",
        run: agent::run,
        seeds: agent::seeds,
    },
    Target {
        name: "image",
        run: image::run,
        seeds: image::seeds,
    },
    Target {
        name: "text",
        run: text::run,
        seeds: text::seeds,
    },
    Target {
        name: "records",
        run: records::run,
        seeds: records::seeds,
    },
    Target {
        name: "cni",
        run: cni::run,
        seeds: cni::seeds,
    },
    Target {
        name: "store",
        run: store::run,
        seeds: store::seeds,
    },
];

/// Runs one target by its name.
///
/// # Panics
/// When there is none of that name, and when the target finds something.
pub fn run(target: &str, input: &[u8]) {
    let found = TARGETS.iter().find(|known| known.name == target);
    let target = found.unwrap_or_else(|| panic!("no target `{target}`"));
    (target.run)(input);
}

/// The pieces of an input: a byte that says what it is, two with its length, and its bytes. What is left over is one more.
pub(crate) fn pieces(mut input: &[u8]) -> Vec<(u8, &[u8])> {
    let mut pieces = Vec::new();
    while let [kind, high, low, rest @ ..] = input {
        let n_bytes = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, left) = rest.split_at(n_bytes);
        pieces.push((*kind, piece));
        input = left;
    }
    pieces
}

/// The other way round.
pub(crate) fn joined(pieces: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut input = Vec::new();
    for (kind, piece) in pieces {
        let n_bytes = u16::try_from(piece.len()).unwrap_or(u16::MAX);
        input.push(*kind);
        input.extend(n_bytes.to_be_bytes());
        input.extend(&piece[..usize::from(n_bytes)]);
    }
    input
}
