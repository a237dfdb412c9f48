//! Opens devices: by this process, or by one that sudo runs.

use std::{
    env,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use clap::Args;

use crate::{
    commands::error::{CommandError, Kind, Result},
    sink::device::{BlockDevice, OpenError, disks::Disk, opener},
    ui::{Report, Ui},
};

/// Pass an open device through standard input, a socket
#[derive(Args, Debug)]
pub(in crate::commands) struct OpenDeviceArgs {
    /// The device
    path: PathBuf,
}

/// What runs under sudo: opens one device for the process that wants it.
pub(in crate::commands) fn open_device(args: &OpenDeviceArgs) -> Result<()> {
    let failed = |error| CommandError::failed("cannot pass the device", &error);
    // It ends when the other side does, and not by a Ctrl-C that is meant for
    // that.
    super::stop_on_signals().map_err(failed)?;
    use std::os::fd::AsFd;
    let socket = std::io::stdin().as_fd().try_clone_to_owned();
    let socket = UnixStream::from(socket.map_err(failed)?);
    opener::serve(&args.path, socket).map_err(failed)
}

/// Opens a disk for this process alone.
pub(super) fn open(disk: &Disk, source: &str, ui: &Ui) -> Result<BlockDevice> {
    let path = disk.path();
    let opened = match BlockDevice::open(&path) {
        Err(OpenError::Denied) => match find_sudo() {
            Some(sudo) => {
                ui.say(&format!(
                    "opening {} needs root: sudo is asked for that alone",
                    path.display()
                ));
                by_sudo(&sudo, &path)
            }
            None => Err(OpenError::Denied),
        },
        opened => opened,
    };
    opened.map_err(|error| refused(&path, source, &error))
}

fn refused(path: &Path, source: &str, error: &OpenError) -> CommandError {
    let what = format!("cannot open {}", path.display());
    let report = Report::new(what).because(error);
    let report = match error {
        OpenError::Denied if super::is_image(source) => report
            .hint(format!("sudo piflash write {source} {}", path.display())),
        OpenError::Denied => report.hint(format!(
            "piflash build {source} && sudo piflash write \
             build/images/{source}.img {}: so only writing is done as root",
            path.display()
        )),
        OpenError::Busy => report.hint(
            "unmount it, and end what else uses it: `lsblk`, `fuser -v` and \
             `cat /proc/mounts` of other containers may tell",
        ),
        _ => report.hint("nothing was written"),
    };
    CommandError::new(Kind::Failed, report)
}

/// Looks for sudo as a shell would.
fn find_sudo() -> Option<PathBuf> {
    let paths = env::var_os("PATH")?;
    let mut found = env::split_paths(&paths).map(|dir| dir.join("sudo"));
    found.find(|path| path.is_file())
}

/// Has the device opened by root, and only that: the image and its secrets
/// stay in this process.
fn by_sudo(sudo: &Path, path: &Path) -> Result<BlockDevice, OpenError> {
    let (ours, theirs) = UnixStream::pair().map_err(OpenError::Io)?;
    let program = env::current_exe().map_err(OpenError::Io)?;
    let mut child = Command::new(sudo)
        .arg("--")
        .arg(program)
        .arg("open-device")
        .arg(path)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .map_err(OpenError::Io)?;
    // It ends when the device is closed; nobody waits for that but this.
    thread::spawn(move || child.wait());
    opener::receive(ours)
}
