//! Pipes, terminals and sockets of containers on the runtime: descriptors that do not block.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Puts a descriptor on the runtime.
pub(crate) fn watch<T: AsRawFd>(inner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    #[expect(
        deprecated,
        reason = "its successor asks for a promise that only the crates next to the kernel may make; an owner moved in keeps it"
    )]
    AsyncFd::with_interest(inner, interest)
}

/// Something to read from and write to.
#[derive(Debug)]
pub(crate) struct Descriptor(AsyncFd<File>);

impl Descriptor {
    /// Takes a descriptor that does not block.
    pub(crate) fn new(descriptor: OwnedFd) -> io::Result<Self> {
        let both = Interest::READABLE | Interest::WRITABLE;
        watch(File::from(descriptor), both).map(Self)
    }

    /// Reads once there is something; 0 at the end, which is also that of a terminal nobody has open any more.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self
            .0
            .async_io(Interest::READABLE, |mut file| file.read(buffer))
            .await;
        ended(read)
    }

    /// Reads what is there now; `None` when there is nothing.
    pub(crate) fn read_now(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match ended(self.0.get_ref().read(buffer)) {
            Ok(n_read) => Ok(Some(n_read)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes once as much as there is room for.
    async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .async_io(Interest::WRITABLE, |mut file| file.write(bytes))
            .await
    }

    /// Writes all of it, however long the other end takes to read it.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let n_written = self.write(bytes).await?;
            bytes = bytes.get(n_written..).unwrap_or_default();
        }
        Ok(())
    }
}

/// `EIO`, as a terminal's master has it after its last slave was closed.
const EIO: i32 = 5;

fn ended(read: io::Result<usize>) -> io::Result<usize> {
    match read {
        Err(error) if error.raw_os_error() == Some(EIO) => Ok(0),
        other => other,
    }
}
