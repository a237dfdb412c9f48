use super::{error::ProbeError, packages::Packages, tree::Tree};
use crate::base::{elf, facts::Architecture};

/// Programs that every Debian system has, the small ones first.
const PROGRAMS: [&str; 5] = [
    "/usr/bin/true",
    "/bin/true",
    "/bin/sh",
    "/sbin/init",
    "/usr/lib/systemd/systemd",
];

/// No program among [`PROGRAMS`] comes near; Ubuntu 25.10's coreutils in
/// one file have some 10 MB.
const PROGRAM_LIMIT: u64 = 64 << 20;

/// Reads the architecture out of a program's ELF header and checks it
/// against the package database.
pub(super) fn read(
    root: &Tree<'_>,
    packages: &Packages,
) -> Result<Architecture, ProbeError> {
    let mut seen = Vec::new();
    for program in PROGRAMS {
        let Some(content) = root.bytes(program, PROGRAM_LIMIT)? else {
            continue;
        };
        match elf::machine(&content) {
            Ok(machine) => return checked(root, packages, program, machine),
            Err(why) => seen.push(format!("{program} is {why}")),
        }
    }
    if seen.is_empty() {
        seen.push(format!("none of {} is there", PROGRAMS.join(", ")));
    }
    Err(ProbeError::NoArchitecture(seen.join("; ")))
}

/// Compares with dpkg's native architecture, where that is on record.
fn checked(
    root: &Tree<'_>,
    packages: &Packages,
    program: &str,
    elf: Architecture,
) -> Result<Architecture, ProbeError> {
    let name = elf.to_string();
    // The first line is the native one; the file is there only where
    // foreign ones were added.
    let listed = root.text("/var/lib/dpkg/arch")?;
    let native = listed.and_then(|text| {
        let first = text.lines().next()?.trim();
        (!first.is_empty()).then(|| first.to_owned())
    });
    let package = ["dpkg", "base-files", "libc6", "systemd"]
        .iter()
        .find_map(|name| packages.get(name))
        .map(|package| package.architecture.clone());
    let records =
        [("/var/lib/dpkg/arch", native), ("/var/lib/dpkg/status", package)];
    for (source_file, dpkg) in records {
        if let Some(dpkg) = dpkg.filter(|dpkg| *dpkg != name) {
            return Err(ProbeError::ArchitectureMismatch {
                program: program.to_owned(),
                elf,
                source_file,
                dpkg,
            });
        }
    }
    Ok(elf)
}
