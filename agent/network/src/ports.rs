//! Whether a port of the host is free.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::error::AttachError;
use crate::request::{Port, Transport};

/// Fails for the first port that a program of the host uses. One that comes later loses: what arrives is redirected
/// before it is delivered.
pub(crate) fn check_free(ports: &[Port]) -> Result<(), AttachError> {
    for port in ports {
        let address = (Ipv4Addr::UNSPECIFIED, port.host);
        let bound = match port.transport {
            Transport::Tcp => TcpListener::bind(address).map(drop),
            Transport::Udp => UdpSocket::bind(address).map(drop),
        };
        bound.map_err(|source| AttachError::PortInUse {
            port: port.host,
            transport: port.transport,
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_a_program_uses_is_named() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = tcp.local_addr().unwrap().port();
        let port = |transport| Port {
            host,
            container: 80,
            transport,
        };
        let error = check_free(&[port(Transport::Tcp)]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains(&format!("tcp port {host} of the host")),
            "{error}"
        );
    }
}
