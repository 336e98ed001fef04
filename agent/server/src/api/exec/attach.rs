//! One client that types into a task: what it says goes to the container's pid 1, packet by packet.

use std::io;
use std::path::Path;

use proffer_linux::attach;
use proffer_wire::v1::AttachRequest;
use proffer_wire::v1::attach_request::What;
use tonic::{Status, Streaming};

use super::{check_input, window_size};
use crate::descriptor::Descriptor;

/// Runs until the client has no more to say, or the task has ended.
pub(super) async fn run(socket: &Path, mut asked: Streaming<AttachRequest>) -> Result<(), Status> {
    let socket = connect(socket)?;
    let mut nothing = [0; 1];
    loop {
        let what = tokio::select! {
            message = asked.message() => match message? {
                Some(AttachRequest { what }) => what,
                None => return Ok(()),
            },
            // Nothing ever comes but the end.
            _ = socket.read(&mut nothing) => return Ok(()),
        };
        let sent = match what {
            Some(What::Input(bytes)) => {
                check_input(&bytes)?;
                input(&socket, &bytes).await
            }
            Some(What::InputEnd(_)) => socket.write_all(&attach::end()).await,
            Some(What::Resize(size)) => {
                let size = window_size(size)?;
                socket.write_all(&attach::resize(size.rows, size.columns)).await
            }
            Some(What::Start(_)) => return Err(Status::invalid_argument("a second `start`")),
            None => return Err(Status::invalid_argument("a message that says nothing")),
        };
        if sent.is_err() {
            return Ok(());
        }
    }
}

/// Each packet is written whole or not at all.
async fn input(socket: &Descriptor, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(attach::MAX_INPUT_BYTES) {
        socket.write_all(&attach::input(part)).await?;
    }
    Ok(())
}

fn connect(path: &Path) -> Result<Descriptor, Status> {
    match attach::connect_to(path).and_then(Descriptor::new) {
        Ok(socket) => Ok(socket),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Status::failed_precondition(
            "the task takes no input: it was started with neither a terminal nor stdin",
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(Status::failed_precondition("the task is not running"))
        }
        Err(error) => Err(Status::internal(format!("cannot reach the task: {error}"))),
    }
}
