//! Programs that we did not write, asked about an image.
//!
//! A missing one fails the test and names its Debian package; what a program
//! said is part of every failure.

use std::{
    fmt,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

/// Programs and the Debian packages that have them.
const PACKAGES: [(&str, &str); 32] = [
    ("bmaptool", "bmap-tools"),
    ("debugfs", "e2fsprogs"),
    ("dumpe2fs", "e2fsprogs"),
    ("e2fsck", "e2fsprogs"),
    ("mke2fs", "e2fsprogs"),
    ("fsck.vfat", "dosfstools"),
    ("mkfs.vfat", "dosfstools"),
    ("mcopy", "mtools"),
    ("mdir", "mtools"),
    ("mmd", "mtools"),
    ("mtype", "mtools"),
    ("dpkg-deb", "dpkg"),
    ("qemu-img", "qemu-utils"),
    ("qemu-io", "qemu-utils"),
    ("qemu-system-aarch64", "qemu-system-arm"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("qemu-storage-daemon", "qemu-system-common or qemu-utils"),
    ("ip", "iproute2"),
    ("setpriv", "util-linux"),
    ("unshare", "util-linux"),
    ("sfdisk", "fdisk"),
    ("kubectl", "kubernetes-client"),
    ("openssl", "openssl"),
    ("ssh", "openssh-client"),
    ("ssh-keygen", "openssh-client"),
    ("sshd", "openssh-server"),
    ("shellcheck", "shellcheck"),
    ("python3", "python3"),
    ("xz", "xz-utils"),
    ("systemctl", "systemd"),
    ("systemd-analyze", "systemd"),
    ("zstd", "zstd"),
];

/// A program said no, or was not there.
pub struct Complaint(pub String);

// `unwrap` prints this: the lines as they came.
impl fmt::Debug for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `tool` in a fixed environment; its standard output, or a complaint
/// with all it said.
pub fn run(tool: &str, args: &[&str]) -> Result<Vec<u8>, Complaint> {
    run_with(tool, args, b"")
}

/// The same, with standard input.
pub fn run_with(
    tool: &str,
    args: &[&str],
    input: &[u8],
) -> Result<Vec<u8>, Complaint> {
    // /sbin is not in everybody's path.
    let path = std::env::var("PATH").unwrap_or_default();
    let child = Command::new(tool)
        .args(args)
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("MTOOLS_SKIP_CHECK", "1")])
        .env("SOURCE_DATE_EPOCH", super::image::TIME.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| missing(tool, &error))?;
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // A program that does not read all of it is judged by its status.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output()
    })
    .unwrap();
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Complaint(format!(
        "{tool} {}: {}\n{}{}",
        args.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    )))
}

/// Why a program did not start.
pub fn missing(tool: &str, error: &std::io::Error) -> Complaint {
    let package = PACKAGES.iter().find(|(name, _)| *name == tool);
    let package = package.map_or(tool, |(_, package)| package);
    Complaint(format!(
        "{tool} did not start ({error}): is Debian's package {package} \
         installed?"
    ))
}

fn text(output: Vec<u8>) -> String {
    String::from_utf8_lossy(&output).into_owned()
}

/// An ext4 at a byte offset, as e2fsprogs name it.
pub fn ext4_at(image: &Path, offset: u64) -> String {
    format!("{}?offset={offset}", image.display())
}

/// A FAT at a byte offset, as mtools name it.
pub fn fat_at(image: &Path, offset: u64) -> String {
    format!("{}@@{offset}", image.display())
}

/// `e2fsck -fn`: the ext4 at `offset` must be clean.
pub fn e2fsck(image: &Path, offset: u64) -> Result<String, Complaint> {
    run("e2fsck", &["-fn", &ext4_at(image, offset)]).map(text)
}

/// `fsck.vfat -n`: the FAT at `offset` of `len` bytes must be clean. The
/// program knows no offsets, so it gets a copy.
pub fn fsck_vfat(
    image: &Path,
    offset: u64,
    len: u64,
) -> Result<String, Complaint> {
    let copy = tempfile::NamedTempFile::new().unwrap();
    copy_range(image, offset, len, copy.as_file());
    run("fsck.vfat", &["-n", copy.path().to_str().unwrap()]).map(text)
}

/// Copies a range of `image` to a file, holes as holes.
fn copy_range(image: &Path, offset: u64, len: u64, to: &std::fs::File) {
    use std::os::unix::fs::FileExt;
    let from = std::fs::File::open(image).unwrap();
    to.set_len(len).unwrap();
    let mut buf = vec![0; 1 << 16];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(buf.len() as u64);
        let buf = &mut buf[..part as usize];
        from.read_exact_at(buf, offset + done).unwrap();
        if buf.iter().any(|byte| *byte != 0) {
            to.write_all_at(buf, done).unwrap();
        }
        done += part;
    }
}

/// `sfdisk -J`: the partition table as JSON.
pub fn sfdisk_json(image: &Path) -> Result<serde_json::Value, Complaint> {
    let output = run("sfdisk", &["-J", image.to_str().unwrap()])?;
    serde_json::from_slice(&output)
        .map_err(|error| Complaint(format!("sfdisk -J: {error}")))
}

/// `sfdisk -d`: the partition table as sfdisk's own script.
pub fn sfdisk_dump(image: &Path) -> Result<String, Complaint> {
    run("sfdisk", &["-d", image.to_str().unwrap()]).map(text)
}

/// debugfs commands on the ext4 at `offset`, one a line; their output. The
/// program's status never tells of a failure, so look at what it says.
pub fn debugfs(
    image: &Path,
    offset: u64,
    commands: &str,
) -> Result<String, Complaint> {
    let at = ext4_at(image, offset);
    run_with("debugfs", &["-f", "-", &at], commands.as_bytes()).map(text)
}

/// `mtype`: a file of the FAT at `offset`; `path` without a leading `/`.
pub fn mtype(
    image: &Path,
    offset: u64,
    path: &str,
) -> Result<Vec<u8>, Complaint> {
    run("mtype", &["-i", &fat_at(image, offset), &format!("::/{path}")])
}

/// `mdir -/ -b`: every path of the FAT at `offset`, directories with a
/// trailing `/`.
pub fn mdir(image: &Path, offset: u64) -> Result<Vec<String>, Complaint> {
    let at = fat_at(image, offset);
    let output = run("mdir", &["-/", "-b", "-a", "-i", &at, "::/"])?;
    Ok(text(output)
        .lines()
        .filter_map(|line| line.strip_prefix("::/"))
        .map(str::to_owned)
        .collect())
}

/// `mcopy -s`: the whole FAT at `offset` into the directory `to`.
pub fn mcopy_all(
    image: &Path,
    offset: u64,
    to: &Path,
) -> Result<(), Complaint> {
    let at = fat_at(image, offset);
    let to = to.to_str().unwrap();
    run("mcopy", &["-s", "-n", "-i", &at, "::/*", to]).map(drop)
}

#[test]
fn a_missing_program_names_its_package() {
    let Complaint(said) = missing("mcopy", &std::io::Error::other("gone"));
    assert_eq!(
        said,
        "mcopy did not start (gone): is Debian's package mtools installed?"
    );
    let Complaint(said) = run("no-such-program", &[]).unwrap_err();
    assert!(said.starts_with("no-such-program did not start ("), "{said}");
}

#[test]
fn a_complaint_has_all_that_was_said() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    std::fs::write(&image, [0; 65536]).unwrap();
    let Complaint(said) = e2fsck(&image, 4096).unwrap_err();
    assert!(said.contains("Bad magic number in super-block"), "{said}");
    assert!(fsck_vfat(&image, 0, 65536).is_err());
    assert!(mdir(&image, 0).is_err());
}
