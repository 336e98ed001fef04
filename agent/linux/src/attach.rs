//! The socket of a container with input: the agent makes it and connects to it, proffer-init listens.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, listen as listen_on, socket,
};
use nix::sys::stat::{Mode, fchmod};
use proffer_init::attach;

/// The most bytes of input in one packet.
pub const MAX_INPUT_BYTES: usize = attach::MAX_INPUT_BYTES;

/// Connections that wait for init, which takes them at once as a rule.
const BACKLOG: i32 = 8;

/// A packet with input, at most [`MAX_INPUT_BYTES`] of it.
#[must_use]
pub fn input(bytes: &[u8]) -> Vec<u8> {
    let mut packet = vec![attach::INPUT];
    packet.extend(&bytes[..bytes.len().min(MAX_INPUT_BYTES)]);
    packet
}

/// The packet that ends the input. A terminal ignores it.
#[must_use]
pub fn end() -> Vec<u8> {
    vec![attach::END]
}

/// The packet with a terminal's new size.
#[must_use]
pub fn resize(rows: u16, columns: u16) -> Vec<u8> {
    attach::resize(rows, columns).to_vec()
}

/// Connects to a container that takes input. Every `write` to what is returned must be one packet; it does not block.
/// It reads as ended when the container has.
pub fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let client = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    with_address(path, |address| connect(client.as_raw_fd(), address))?;
    Ok(client)
}

/// Listens on a new socket that only the agent's user may connect to.
pub(crate) fn listen(path: &Path) -> io::Result<OwnedFd> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    // Before it has a name: there is no moment at which others get in (unix(7)).
    fchmod(&listener, Mode::S_IRUSR | Mode::S_IWUSR)?;
    with_address(path, |address| bind(listener.as_raw_fd(), address))?;
    listen_on(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

/// Names a socket by its directory's descriptor: an address has room for 107 bytes, and paths are longer.
fn with_address(path: &Path, call: impl FnOnce(&UnixAddr) -> nix::Result<()>) -> io::Result<()> {
    let directory = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
    let name = Path::new("/proc/self/fd")
        .join(directory.as_raw_fd().to_string())
        .join(path.file_name().unwrap_or_default());
    Ok(call(&UnixAddr::new(&name)?)?)
}
