//! `piflash diff`: what two images do not have in common, file by file.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;

use super::{
    changes::{Pair, Tally},
    error::{CommandError, Kind, Result},
    look::{LookArgs, Looked},
    mask::Mask,
    view::{View, broken},
};
use crate::{
    fs::tree::{Change, compare},
    ui::{self, Report, Ui},
};

/// Show which files two images or cards differ in, and how. The exit code
/// is 0 if they are the same, and 3 if not
#[derive(Args, Debug)]
pub(super) struct DiffArgs {
    /// The first: a disk image, compressed or not, a card's device, `demo`,
    /// or an image of `piflash images` that is in the cache
    #[arg(value_name = "A")]
    old: PathBuf,

    /// The second
    #[arg(value_name = "B")]
    new: PathBuf,

    /// For programs
    #[arg(long)]
    json: bool,

    /// Only which files differ, not how their texts do
    #[arg(long)]
    brief: bool,

    /// Show keys, password hashes and tokens as well
    #[arg(long)]
    show_secrets: bool,

    #[command(flatten)]
    look: LookArgs,
}

/// Compares two images. Times are not compared, nor what belongs to no file.
pub(super) fn diff(args: &DiffArgs, ui: &Ui) -> Result<()> {
    let old = Looked::open(&args.old, &args.look, ui)?;
    let new = Looked::open(&args.new, &args.look, ui)?;
    let mut out = Out { out: ui.output(), args, ui, first: true };
    out.begin()?;
    let mut tally = Tally::default();
    let mut other = 0usize;
    for said in tables(&old, &new) {
        other = other.saturating_add(1);
        out.said(&said)?;
    }
    for (name, pair) in partitions(&old, &new) {
        let trees = pair.map(|(a, b)| (old.image.tree(a), new.image.tree(b)));
        let Some((Some(a), Some(b))) = trees else {
            if pair.is_none() {
                other = other.saturating_add(1);
                out.said(&format!("{name}: not in both"))?;
            }
            continue;
        };
        let (a, b) = match (a, b) {
            (Ok(a), Ok(b)) => (a, b),
            (a, b) => {
                for (second, tree) in [(false, a), (true, b)] {
                    if let Err(error) = tree {
                        let change = Change::Unreadable { second, error };
                        tally.count(&change);
                        out.unreadable(&name, &change)?;
                    }
                }
                continue;
            }
        };
        let masks = [&old, &new]
            .map(|it| Mask::new(it.good_manifest(), args.show_secrets));
        let [old_mask, new_mask] = &masks;
        let numbers = pair.unwrap_or_default();
        let pair = Pair {
            old: View { tree: &*a, mask: old_mask, part: old.part(numbers.0) },
            new: View { tree: &*b, mask: new_mask, part: new.part(numbers.1) },
            name,
        };
        compare(&*a, &*b, &mut |change| {
            tally.count(&change);
            out.change(&pair, &change)
        })?;
    }
    let same = tally.total() == 0 && other == 0;
    out.end(same)?;
    finish(tally, same, ui)
}

fn finish(tally: Tally, same: bool, ui: &Ui) -> Result<()> {
    if tally.unreadable > 0 {
        let what = format!(
            "{} of the entries cannot be read: nobody knows how they compare",
            tally.unreadable
        );
        let report = Report::new(what).hint(
            "the file system is damaged: e2fsck or fsck.vfat may repair a \
             copy",
        );
        return Err(CommandError::new(Kind::Failed, report));
    }
    if same {
        return Ok(());
    }
    let Tally { added, removed, changed, .. } = tally;
    ui.say(&format!("{added} added, {removed} removed, {changed} changed"));
    Err(CommandError::different())
}

/// Where the partition tables differ.
fn tables(old: &Looked, new: &Looked) -> Vec<String> {
    let (old, new) = (&old.image.table, &new.image.table);
    let mut said = Vec::new();
    if old.kind != new.kind {
        said.push(format!("{:?} -> {:?}", old.kind, new.kind));
    }
    if old.disk_id != new.disk_id {
        said.push(format!("disk id {} -> {}", old.disk_id, new.disk_id));
    }
    let numbers: BTreeSet<u32> = old
        .partitions
        .iter()
        .chain(&new.partitions)
        .map(|p| p.number)
        .collect();
    for number in numbers {
        let find = |table: &crate::base::facts::TableFacts| {
            let mut all = table.partitions.iter();
            all.find(|p| p.number == number).cloned()
        };
        match (find(old), find(new)) {
            (Some(a), Some(b)) => {
                for (what, a, b) in [
                    ("start", a.start.to_string(), b.start.to_string()),
                    ("size", a.len.to_string(), b.len.to_string()),
                    ("type", a.type_id, b.type_id),
                ] {
                    if a != b {
                        let name = format!("partition {number}: {what}");
                        said.push(format!("{name} {a} -> {b}"));
                    }
                }
                if a.volume != b.volume {
                    let said_of = |v: crate::base::facts::Volume| {
                        let fs = v.fs.map(|fs| fs.to_string());
                        let all = [fs, v.label, v.uuid];
                        let all: Vec<_> = all.into_iter().flatten().collect();
                        ui::escape(all.join(" ").as_bytes())
                    };
                    said.push(format!(
                        "partition {number}: {} -> {}",
                        said_of(a.volume),
                        said_of(b.volume)
                    ));
                }
            }
            (Some(_), None) => {
                said.push(format!("partition {number}: only in the first"));
            }
            (None, _) => {
                said.push(format!("partition {number}: only in the second"));
            }
        }
    }
    said
}

type Numbers = Option<(u32, u32)>;

/// The partitions that belong together: boot with boot, root with root,
/// others by their numbers.
fn partitions(old: &Looked, new: &Looked) -> Vec<(String, Numbers)> {
    let mut pairs = vec![
        ("boot".to_owned(), (old.boot, new.boot)),
        ("root".to_owned(), (old.root, new.root)),
    ];
    pairs.retain(|(_, pair)| *pair != (None, None));
    let mut pairs: Vec<_> =
        pairs.into_iter().map(|(name, (a, b))| (name, a.zip(b))).collect();
    for partition in &old.image.table.partitions {
        let number = partition.number;
        let other = new.image.partition(number);
        if old.part(number).is_none()
            && other.is_some_and(|p| new.part(p.number).is_none())
        {
            pairs.push((number.to_string(), Some((number, number))));
        }
    }
    pairs
}

/// Writes one difference after another, as text or as JSON.
struct Out<'o> {
    out: io::BufWriter<io::StdoutLock<'static>>,
    args: &'o DiffArgs,
    ui: &'o Ui,
    first: bool,
}

impl Out<'_> {
    fn write(&mut self, text: &str) -> Result<()> {
        self.out
            .write_all(text.as_bytes())
            .map_err(|error| CommandError::output(&error))
    }

    fn item(&mut self, value: &serde_json::Value) -> Result<()> {
        let comma = if self.first { "" } else { "," };
        self.first = false;
        self.write(&format!("{comma}\n{value}"))
    }

    fn begin(&mut self) -> Result<()> {
        if !self.args.json {
            return Ok(());
        }
        let name = |path: &PathBuf| {
            String::from_utf8_lossy(path.as_os_str().as_encoded_bytes())
                .into_owned()
        };
        let [old, new] = [&self.args.old, &self.args.new].map(name);
        let head = serde_json::json!({"version": 1, "old": old, "new": new});
        let head = head.to_string();
        let head = head.strip_suffix('}').unwrap_or(&head).to_owned();
        self.write(&format!("{head},\"differences\":["))
    }

    fn said(&mut self, said: &str) -> Result<()> {
        if self.args.json {
            let value = serde_json::json!({"change": "table", "text": said});
            return self.item(&value);
        }
        self.write(&format!("~ {said}\n"))
    }

    fn change(&mut self, pair: &Pair<'_>, change: &Change) -> Result<()> {
        if self.args.json {
            return self.item(&pair.json(change, self.args.brief));
        }
        let text = pair.text(change, self.args.brief);
        let text = if self.ui.is_read_by_people() {
            ui::escape_text(text.as_bytes())
        } else {
            text
        };
        self.write(&text)
    }

    /// A file system that cannot be opened at all.
    fn unreadable(&mut self, name: &str, change: &Change) -> Result<()> {
        let Change::Unreadable { second, error } = change else {
            return Ok(());
        };
        let image = if *second { "second" } else { "first" };
        if self.args.json {
            return self.item(&serde_json::json!({
                "change": "unreadable",
                "partition": name,
                "image": image,
                "error": broken(error),
            }));
        }
        self.write(&format!("? {name}: {} (in the {image})\n", broken(error)))
    }

    fn end(&mut self, same: bool) -> Result<()> {
        if self.args.json {
            self.write(&format!("\n],\"same\":{same}}}\n"))?;
        }
        self.out.flush().map_err(|error| CommandError::output(&error))
    }
}
