//! Network namespaces that outlive whoever made them: each is bound to a path.
//!
//! A namespace is entered only by threads that end with what they do there, so that no other code of the process ever
//! runs in the wrong network. Sockets keep the namespace they were made in and may be used anywhere.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::sys::statfs::{NSFS_MAGIC, statfs};
use thiserror::Error;

use crate::rootless::groups;

/// The namespace of the thread that asks, not of the process (proc_pid_ns(5)).
const OWN: &str = "/proc/thread-self/ns/net";

/// Something that could not be done to a network namespace.
#[derive(Debug, Error)]
#[error("cannot {what} the network namespace `{}`", path.display())]
pub struct NetnsError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl NetnsError {
    fn new(what: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self {
            what,
            path: path.to_owned(),
            source: source.into(),
        }
    }
}

/// Makes a network namespace with its loopback interface up, binds it to `path`, and runs `inside` in it.
///
/// Nobody in it needs a capability to listen on low ports or to ping. `path` must not exist. It needs `CAP_SYS_ADMIN`.
pub fn create<T: Send>(path: &Path, inside: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    File::create_new(path).map_err(|error| NetnsError::new("make a file for", path, error))?;
    let made = on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        set_up()?;
        mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        Ok(inside())
    });
    made.map_err(|error| {
        // What else could not be undone is told when the path is used again.
        let _ = remove(path);
        NetnsError::new("make", path, error)
    })
}

/// Runs `call` in a network namespace, on a thread of its own.
pub fn run_in<T: Send>(path: &Path, call: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
    let entered = on_own_thread(|| {
        setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
        Ok(call())
    });
    entered.map_err(|error| NetnsError::new("enter", path, error))
}

/// Connects to an address as seen from within a network namespace. Blocks for `timeout` at most.
pub fn connect_in(path: &Path, address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    run_in(path, || TcpStream::connect_timeout(&address, timeout)).map_err(io::Error::other)?
}

/// Unbinds a network namespace and removes its path. It is gone with its last process and socket. One that is not there
/// is no error.
pub fn remove(path: &Path) -> Result<(), NetnsError> {
    match umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: a plain file, left by whoever was killed before binding, or by an earlier boot.
        Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => {}
        Err(error) => return Err(NetnsError::new("unbind", path, error)),
    }
    // Unlinking also takes away what copies of the mount other mount namespaces have.
    unlink(path)
}

/// Removes a file where no namespace is bound: whoever was to bind one was killed before, or the host was started anew.
pub fn remove_unbound(path: &Path) -> Result<(), NetnsError> {
    match statfs(path) {
        Ok(found) if found.filesystem_type() == NSFS_MAGIC => Ok(()),
        Ok(_) | Err(_) => unlink(path),
    }
}

fn unlink(path: &Path) -> Result<(), NetnsError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(NetnsError::new("remove the file of", path, error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn on_own_thread<T: Send>(call: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("netns".to_owned())
            .spawn_scoped(scope, call)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("its thread panicked")))
    })
}

/// Prepares the namespace this thread has just made.
fn set_up() -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0")?;
    let groups = groups(&fs::read_to_string("/proc/self/gid_map")?);
    let groups = format!("{} {}", groups.start(), groups.end());
    fs::write("/proc/sys/net/ipv4/ping_group_range", groups)?;
    raise_loopback()
}

fn raise_loopback() -> io::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    // SAFETY: ifreq is plain old data, for which all zeroes are valid.
    let mut request: nix::libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    #[expect(clippy::cast_possible_truncation, reason = "IFF_UP is 1")]
    let up = nix::libc::IFF_UP as i16;
    request.ifr_ifru.ifru_flags = up;
    let descriptor = std::os::fd::AsRawFd::as_raw_fd(&socket);
    // SAFETY: the descriptor is open, and the kernel reads one ifreq, which lives as long as the call.
    Errno::result(unsafe { nix::libc::ioctl(descriptor, nix::libc::SIOCSIFFLAGS, &request) })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// Whether namespaces can be made here; says why not.
    #[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
    fn skipped() -> bool {
        let skipped = !nix::unistd::geteuid().is_root();
        if skipped {
            println!("skipped: network namespaces need root");
        }
        skipped
    }

    #[test]
    fn a_namespace_has_a_loopback_of_its_own_and_is_gone_when_removed() {
        if skipped() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netns");
        let listener = create(&path, || TcpListener::bind("127.0.0.1:80").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        connect_in(&path, address, Duration::from_secs(5)).unwrap();
        let interfaces = run_in(&path, || fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
        assert_eq!(interfaces.matches("eth0:").count(), 0, "{interfaces}");
        let taken = create(&path, || ()).unwrap_err();
        assert!(taken.to_string().contains("netns`"), "{taken}");

        remove_unbound(&path).unwrap();
        assert!(path.exists());
        remove(&path).unwrap();
        assert!(!path.exists());
        remove(&path).unwrap();
        fs::write(&path, "").unwrap();
        remove_unbound(&path).unwrap();
        assert!(!path.exists());
        let gone = connect_in(&path, address, Duration::from_secs(5)).unwrap_err();
        assert!(gone.to_string().contains("cannot enter"), "{gone}");
    }

    #[test]
    fn the_thread_that_asks_stays_in_its_own_network() {
        if skipped() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("netns");
        let before = fs::read_link(OWN).unwrap();
        let inside = create(&path, || fs::read_link(OWN).unwrap()).unwrap();
        assert_eq!(run_in(&path, || fs::read_link(OWN).unwrap()).unwrap(), inside);
        assert_eq!(fs::read_link(OWN).unwrap(), before);
        assert_ne!(before, inside);
        remove(&path).unwrap();
    }
}
