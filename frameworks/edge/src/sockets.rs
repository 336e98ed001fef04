//! Sockets that a new edge can have beside the old one.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UdpSocket};

/// Connections that may wait to be accepted; the kernel's own bound is below it.
const BACKLOG: i32 = 4096;

fn bound(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    socket.set_reuse_port(true)?;
    if kind == Type::STREAM {
        // What is left of earlier connections must not keep a new edge out.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A listener, shared with other edges (SO_REUSEPORT).
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = bound(address, Type::STREAM, Protocol::TCP)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A UDP socket, shared with other edges (SO_REUSEPORT).
pub(crate) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(bound(address, Type::DGRAM, Protocol::UDP)?.into())
}
