//! This terminal as the task's: raw while it is, and as it was on every way out.

use std::io::{IsTerminal as _, Read as _};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use proffer_wire::v1::WindowSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Read at once from stdin.
const CHUNK_BYTES: usize = 4096;

/// Chunks read ahead of what has been sent.
const MAX_CHUNKS_QUEUED: usize = 4;

/// The size of a terminal that is none.
const DEFAULT_SIZE: WindowSize = WindowSize {
    rows: 24,
    columns: 80,
};

/// How the terminal was before it was made raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Keeps stdin raw, where it is a terminal.
#[derive(Debug)]
pub(crate) struct RawMode(());

impl RawMode {
    /// Every key becomes input; none a signal.
    pub(crate) fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            let before = tcgetattr(&stdin)?;
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(&stdin, OptionalActions::Now, &raw)?;
            *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        }
        Ok(Self(()))
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was. To be called before the process ends without unwinding.
pub(crate) fn restore() {
    let before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(before) = before {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
    }
}

/// The size of this terminal.
pub(crate) fn size() -> WindowSize {
    match tcgetwinsize(std::io::stdin()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => WindowSize {
            rows: size.ws_row.into(),
            columns: size.ws_col.into(),
        },
        Ok(_) | Err(_) => DEFAULT_SIZE,
    }
}

/// Changes of this terminal's size.
pub(crate) fn resizes() -> Result<Signal> {
    Ok(signal(SignalKind::window_change())?)
}

/// Reads stdin on a thread of its own, which ends with the process: a read cannot be called off.
pub(crate) fn stdin() -> mpsc::Receiver<Vec<u8>> {
    let (chunks, receiver) = mpsc::channel(MAX_CHUNKS_QUEUED);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            match stdin.read(&mut chunk) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(n_read) => {
                    chunk.truncate(n_read);
                    if chunks.blocking_send(chunk).is_err() {
                        return;
                    }
                }
            }
        }
    });
    receiver
}

/// ctrl-p and ctrl-q.
const DETACH: [u8; 2] = [0x10, 0x11];

/// Looks for the keys that detach: ctrl-p, ctrl-q. The first is held back until the next key tells.
#[derive(Debug, Default)]
pub(crate) struct DetachKeys {
    is_held: bool,
}

/// What became of some input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    /// To be sent; may be empty.
    Input(Vec<u8>),
    /// To be sent, and that was all.
    Detached(Vec<u8>),
}

impl DetachKeys {
    pub(crate) fn look(&mut self, input: &[u8]) -> Typed {
        let mut sent = Vec::with_capacity(input.len() + 1);
        for byte in input {
            if std::mem::take(&mut self.is_held) {
                if *byte == DETACH[1] {
                    return Typed::Detached(sent);
                }
                sent.push(DETACH[0]);
            }
            if *byte == DETACH[0] {
                self.is_held = true;
            } else {
                sent.push(*byte);
            }
        }
        Typed::Input(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_p_ctrl_q_detaches_also_in_two_reads_and_other_keys_go_through() {
        let typed = |inputs: &[&[u8]]| {
            let mut keys = DetachKeys::default();
            inputs.iter().map(|input| keys.look(input)).collect::<Vec<_>>()
        };
        let input = |text: &[u8]| Typed::Input(text.to_vec());
        assert_eq!(typed(&[b"ab\x10\x11c"]), [Typed::Detached(b"ab".to_vec())]);
        assert_eq!(
            typed(&[b"a\x10", b"\x11"]),
            [input(b"a"), Typed::Detached(vec![])]
        );
        assert_eq!(typed(&[b"\x10", b"x"]), [input(b""), input(b"\x10x")]);
        assert_eq!(typed(&[b"\x10\x10\x11"]), [Typed::Detached(b"\x10".to_vec())]);
        assert_eq!(typed(&[b"\x11"]), [input(b"\x11")]);
    }
}
