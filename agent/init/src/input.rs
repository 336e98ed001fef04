//! Input: from attached clients to the payload's stdin or terminal.
//!
//! Nothing here blocks: while the payload does not read, the clients are not read either, and wait on their sockets.

use proffer_init::attach::{END, INPUT, MAX_CLIENTS, MAX_INPUT_BYTES, RESIZE};

use crate::sys::{self, io, terminal};

/// Where the payload reads from, and who writes there.
#[derive(Debug)]
pub(crate) struct Input {
    listener: i32,
    clients: [Option<i32>; MAX_CLIENTS],
    /// Our end of the pipe, or the terminal's master. `None` once a pipe has ended.
    target: Option<i32>,
    is_terminal: bool,
    packet: [u8; 1 + MAX_INPUT_BYTES],
    /// The part of the packet that is still to be written.
    pending: (usize, usize),
}

/// How many descriptors input is waited for on.
pub(crate) const N_POLLED: usize = 2 + MAX_CLIENTS;

impl Input {
    pub(crate) fn new(listener: i32, target: i32, is_terminal: bool) -> Self {
        Self {
            listener,
            clients: [None; MAX_CLIENTS],
            target: Some(target),
            is_terminal,
            packet: [0; 1 + MAX_INPUT_BYTES],
            pending: (0, 0),
        }
    }

    fn has_pending(&self) -> bool {
        self.pending.0 < self.pending.1
    }

    /// What to wait for.
    pub(crate) fn polled(&self) -> [libc::pollfd; N_POLLED] {
        let mut polled = [io::polled(None, 0); N_POLLED];
        polled[0] = io::polled(Some(self.listener), libc::POLLIN);
        let target = self.target.filter(|_| self.has_pending());
        polled[1] = io::polled(target, libc::POLLOUT);
        if !self.has_pending() {
            for (polled, client) in polled[2..].iter_mut().zip(self.clients) {
                *polled = io::polled(client, libc::POLLIN);
            }
        }
        polled
    }

    /// Does what there is to do.
    pub(crate) fn handle(&mut self, polled: &[libc::pollfd]) {
        let is_ready = |at: usize| polled.get(at).is_some_and(|polled| polled.revents != 0);
        if is_ready(1) {
            self.write();
        }
        for at in 0..MAX_CLIENTS {
            if is_ready(2 + at) && !self.has_pending() {
                self.receive(at);
            }
        }
        if is_ready(0) {
            self.accept();
        }
    }

    fn accept(&mut self) {
        let Some(client) = io::accept(self.listener) else {
            return;
        };
        match self.clients.iter_mut().find(|place| place.is_none()) {
            Some(place) => *place = Some(client),
            None => sys::close(client),
        }
    }

    fn receive(&mut self, at: usize) {
        let Some(client) = self.clients[at] else { return };
        let n_read = match io::read(client, &mut self.packet) {
            Err(libc::EAGAIN | libc::EINTR) => return,
            Ok(0) | Err(_) => {
                sys::close(client);
                self.clients[at] = None;
                return;
            }
            Ok(n_read) => n_read,
        };
        match self.packet[..n_read] {
            [INPUT, ..] => {
                self.pending = (1, n_read);
                self.write();
            }
            [END] if !self.is_terminal => self.end(),
            [RESIZE, a, b, c, d] if self.is_terminal => {
                if let Some(master) = self.target {
                    terminal::resize(master, u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self) {
        let (from, to) = self.pending;
        match self
            .target
            .map(|target| io::write(target, &self.packet[from..to]))
        {
            Some(Ok(n_written)) => self.pending.0 += n_written,
            Some(Err(libc::EAGAIN | libc::EINTR)) => {}
            // Nobody will read it: what comes later goes nowhere either.
            Some(Err(_)) => self.end(),
            None => self.pending = (0, 0),
        }
    }

    fn end(&mut self) {
        self.pending = (0, 0);
        if let Some(target) = self.target.take() {
            sys::close(target);
        }
    }
}
