//! What a build tells of a node's image.

use std::{fmt::Write, path::Path};

use super::{
    formats::{Built, Output},
    secrets,
    workshop::Job,
};
use crate::{
    base::{facts::FirstBoot, image::Origin},
    identity::HostKeys,
    sink::raw::Method,
    ui,
};

/// Describes one built image, for its owner.
pub(super) fn summary(
    job: &Job,
    host_keys: &HostKeys,
    folder: &Path,
    built: &Built,
) -> String {
    let Job { plan, image, keys, artefacts, .. } = job;
    let cluster = plan.cluster.as_ref();
    // .../images
    let build_dir = folder.parent().unwrap_or(Path::new(""));
    let mut text = String::new();
    for output in &built.outputs {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", output.path.display());
    }
    let mut line = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:<11} {value}");
    };
    line(
        "size",
        format!(
            "{} ({} changed; the rest {})",
            ui::bytes(built.size),
            ui::bytes(built.changed),
            match built.method {
                Some(Method::Reflink) => "shared with the base",
                Some(Method::Copied) => "copied, sparse",
                None => "taken over compressed",
            }
        ),
    );
    for output in &built.outputs {
        if output.format != "img" {
            line(output.format, ui::bytes(output.size));
        }
    }
    line(
        "base",
        format!(
            "{}: {}, {}",
            image.name, image.facts.os.pretty_name, image.facts.architecture
        ),
    );
    if let Some((role, cluster)) = plan.role.as_ref().zip(cluster) {
        line("role", format!("{role}, API at {}", cluster.endpoint()));
    }
    if let Origin::Download { verified, .. } = &image.origin {
        line("verified", verified.to_string());
    }
    for partition in &image.facts.table.partitions {
        let volume = &partition.volume;
        line(
            "partition",
            format!(
                "{}: {} at {}, {} {}",
                partition.number,
                ui::bytes(partition.len),
                ui::bytes(partition.start),
                volume.fs.map_or_else(String::new, |fs| fs.to_string()),
                volume.label.as_deref().unwrap_or_default()
            ),
        );
    }
    line(
        "injected",
        format!(
            "{} paths, all read back: {}",
            built.checked,
            plan.parts.join(", ")
        ),
    );
    for file in &artefacts.files {
        let name = release(&file.name, file.version.as_deref());
        line("artefact", format!("{name}, {}", ui::bytes(file.size)));
    }
    for missing in &artefacts.left_out {
        let name = release(&missing.name, missing.version.as_deref());
        line("left out", format!("{name}: not in the cache (--offline)"));
    }
    for key in keys {
        line("SSH key", key.clone());
    }
    if image.facts.ssh.installed {
        for key in host_keys.iter() {
            let kind = key.public().split(' ').next().unwrap_or_default();
            line("host key", format!("{kind} {}", key.fingerprint()));
        }
    }
    for note in &plan.notes {
        line("note", note.clone());
    }
    if image.origin == Origin::Demo {
        line(
            "note",
            "made from the demo image: it has no kernel and does not boot"
                .to_owned(),
        );
    }
    for (number, how) in write_it(&built.outputs).into_iter().enumerate() {
        line(if number == 0 { "write it" } else { "" }, how);
    }
    for (number, what) in power_up(job).into_iter().enumerate() {
        line(if number == 0 { "power-up" } else { "" }, what);
    }
    if image.facts.ssh.installed && !keys.is_empty() {
        let config = build_dir.join("ssh_config");
        line("log in", format!("ssh -F {} {}", config.display(), plan.node));
    }
    if let Some(cluster) = cluster.filter(|cluster| !cluster.foreign) {
        // Who made it there knew where.
        let config = secrets::kubeconfig_path(build_dir, cluster.kind)
            .unwrap_or_default();
        let config = config.display();
        line("cluster", format!("kubectl --kubeconfig {config} get nodes"));
    }
    text
}

/// How the image comes onto a card. Of several, the raw one.
fn write_it(outputs: &[Output]) -> Vec<String> {
    let find = |format: &str| outputs.iter().find(|o| o.format == format);
    let Some(image) = ["img", "xz", "zst"].into_iter().find_map(find) else {
        return Vec::new();
    };
    let image = image.path.display();
    let mut how = vec![format!("piflash write {image} /dev/sdX")];
    if find("bmap").is_some() {
        how.push(format!("or sudo bmaptool copy {image} /dev/sdX"));
    }
    how.push(
        "or with dd, Etcher or rpi-imager (\"Use custom\", its own \
         customisation off)"
            .to_owned(),
    );
    how
}

/// `k3s-arm64 v1.36.4+k3s1`
fn release(name: &str, version: Option<&str>) -> String {
    match version {
        Some(version) => format!("{name} {version}"),
        None => name.to_owned(),
    }
}

/// What the node does when it is powered up: only what this image does.
fn power_up(job: &Job) -> Vec<String> {
    let Job { plan, image, keys, .. } = job;
    let has = |name: &str| plan.parts.iter().any(|part| part == name);
    let facts = &image.facts;
    let grows = facts.root_is_last && facts.first_boot != FirstBoot::None;
    let mut does = Vec::new();
    if grows {
        does.push("the root file system grows to the size of the card");
    }
    does.push("the node takes its name and address");
    if has("ssh") && facts.ssh.installed && !keys.is_empty() {
        does.push("it lets you in by key");
    }
    if has("firstboot") {
        does.push("it runs its first-boot steps: sudo piflash-node status");
    }
    let does = does.into_iter().map(str::to_owned);
    does.chain(plan.does.iter().cloned()).collect()
}
