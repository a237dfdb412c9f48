//! Devices that another process opens, which may: run by sudo, it opens one
//! device, passes it on and does nothing else but have the partition table
//! read again. So nothing but that needs privileges, and the image, with all
//! its keys, stays where it is.
//!
//! ```text
//! opener ──> number of the error, or 0 and the open device
//!        <── `r`    ──> number of the error of reading the table, or 0
//!        <── end
//! ```

use super::block::{BlockDevice, OpenError, open_exclusive, reread_table};
use rustix::{
    io::Errno,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags,
        SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::Path,
    sync::{Mutex, PoisonError},
};

/// Asks for the partition table to be read again.
const REREAD: u8 = b'r';

/// The opener: opens `path`, passes it through `socket`, and serves until the
/// other side closes it.
///
/// # Errors
///
/// Those of the socket. That the device cannot be opened is told to the other
/// side.
pub fn serve(path: &Path, mut socket: UnixStream) -> io::Result<()> {
    let device = match open_exclusive(path) {
        Ok(device) => device,
        Err(error) => return send(&socket, error.raw_os_error(), None),
    };
    send(&socket, 0, Some(device.as_fd()))?;
    let mut device = File::from(device);
    let mut request = [0];
    while socket.read(&mut request)? == 1 && request == [REREAD] {
        let code = reread_table(&mut device)
            .err()
            .map_or(0, |e| e.raw_os_error().unwrap_or(-1));
        socket.write_all(&code.to_le_bytes())?;
    }
    Ok(())
}

fn send(
    socket: &UnixStream,
    code: i32,
    device: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let devices = device.as_slice();
    if !devices.is_empty()
        && !control.push(SendAncillaryMessage::ScmRights(devices))
    {
        return Err(io::Error::other("no space for a descriptor"));
    }
    let bytes = code.to_le_bytes();
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::empty())?;
    Ok(())
}

/// Takes the device that the opener at the other end of `socket` passes.
///
/// # Errors
///
/// See [`OpenError`]; an opener that ended without an answer is
/// [`OpenError::Denied`].
pub fn receive(socket: UnixStream) -> Result<BlockDevice, OpenError> {
    let (code, device) = take(&socket).map_err(OpenError::Io)?;
    let device = match (code, device) {
        (None, _) => return Err(OpenError::Denied),
        (Some(0), Some(device)) => device,
        (Some(code), _) => {
            return Err(OpenError::of(Errno::from_raw_os_error(code)));
        }
    };
    let socket = Mutex::new(socket);
    let reread = move || {
        let mut socket = socket.lock().unwrap_or_else(PoisonError::into_inner);
        socket.write_all(&[REREAD])?;
        let mut code = [0; 4];
        socket.read_exact(&mut code)?;
        match i32::from_le_bytes(code) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    };
    BlockDevice::new(device, Some(Box::new(reread)))
}

fn take(socket: &UnixStream) -> io::Result<(Option<i32>, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut code = [0; 4];
    let read = recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut code)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut device = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(devices) = message {
            device = device.or(devices.into_iter().next());
        }
    }
    let code = (read.bytes == code.len()).then(|| i32::from_le_bytes(code));
    Ok((code, device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(path: &Path) -> OpenError {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let path = path.to_owned();
        let opener = std::thread::spawn(move || serve(&path, theirs));
        let error = receive(ours).err().unwrap();
        opener.join().unwrap().unwrap();
        error
    }

    #[test]
    fn what_cannot_be_opened_is_told() {
        let error = answer(Path::new("/dev/no-such-disk"));
        assert!(
            matches!(error, OpenError::Io(e) if e.kind() == io::ErrorKind::NotFound)
        );
        // A file is opened, passed on, and refused.
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(answer(file.path()), OpenError::NotADevice));
    }

    #[test]
    fn an_opener_that_dies_was_not_allowed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        assert!(matches!(receive(ours), Err(OpenError::Denied)));
    }
}
