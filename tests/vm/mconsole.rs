//! The management console of User-Mode Linux (`mconsole(8)`): datagrams on a
//! socket of the file system.

use std::{io, os::unix::net::UnixDatagram, path::Path, time::Duration};

const MAGIC: u32 = 0xcafe_babe;
const VERSION: u32 = 2;
/// Bytes that a request has room for.
const ROOM: usize = 512;
/// Bytes before a reply's text.
const HEAD: usize = 12;

/// Runs one command in the kernel behind `socket`; what it answers.
pub fn execute(socket: &Path, command: &str) -> io::Result<String> {
    let dir = tempfile::tempdir()?;
    let ours = UnixDatagram::bind(dir.path().join("answer"))?;
    ours.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut request = Vec::new();
    let len = u32::try_from(command.len()).unwrap();
    for number in [MAGIC, VERSION, len] {
        request.extend(number.to_ne_bytes());
    }
    request.extend(command.as_bytes());
    request.resize(HEAD + ROOM, 0);
    ours.send_to(&request, socket)?;
    let mut text = String::new();
    loop {
        let mut reply = [0; 4096];
        let len = ours.recv(&mut reply)?;
        let number = |at: usize| {
            let bytes = reply.get(at..at + 4).ok_or_else(short)?;
            Ok::<_, io::Error>(u32::from_ne_bytes(bytes.try_into().unwrap()))
        };
        let (error, more, size) = (number(0)?, number(4)?, number(8)?);
        let size = usize::try_from(size).unwrap();
        let said = reply[..len].get(HEAD..HEAD + size).ok_or_else(short)?;
        let said = String::from_utf8_lossy(said);
        text += said.trim_end_matches('\0');
        if error != 0 {
            return Err(io::Error::other(format!("{command}: {text}")));
        }
        if more == 0 {
            return Ok(text);
        }
    }
}

fn short() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}
