//! Random sequences of edits, compared with a model in memory.

use std::collections::{BTreeMap, BTreeSet};

use piflash::fs::{Editor, FsErrorKind, Meta};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tempfile::TempDir;

use super::scenario::{self, Scenario, base, compare_ext4_view};
use crate::support::ext4::{Disk, FEATURE_SETS, NOW, meta, noise};
use crate::support::ext4_judges::{
    Entry, Kind, Tree, View, assert_same, judge, own_view, without_xattrs,
};

/// One edit; numbers pick among the paths there are.
#[derive(Clone, Debug)]
enum Op {
    Create { parent: usize, name: u16, size: usize, meta: Meta },
    Replace { file: usize, size: usize, meta: Meta },
    CreateMany { parent: usize, count: usize },
    Mkdir { parent: usize, name: u16, meta: Meta },
    Symlink { parent: usize, name: u16, len: usize, meta: Meta },
    SetMeta { path: usize, meta: Meta },
    Remove { path: usize },
    RemoveDir { path: usize },
    Commit,
}

fn any_meta() -> impl Strategy<Value = Meta> {
    let id = prop_oneof![Just(0u32), Just(1000), 60_000u32..200_000];
    // ext4-view refuses times whose lower half has its highest bit set
    // (before 1970, after 2038); they have a test of their own.
    let time = prop_oneof![Just(NOW), Just(0i64), 0..2_147_483_647i64];
    (0u16..0o10000, id.clone(), id, time)
        .prop_map(|(mode, uid, gid, mtime)| meta(mode, uid, gid, mtime))
}

fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![
        4 => 0usize..200,
        2 => Just(0usize),
        2 => Just(4096usize),
        4 => 1000usize..20_000,
        1 => 60_000usize..600_000,
    ]
}

fn any_op() -> impl Strategy<Value = Op> {
    let pick = 0usize..10_000;
    let name = 0u16..400;
    prop_oneof![
        6 => (pick.clone(), name.clone(), any_size(), any_meta()).prop_map(
            |(parent, name, size, meta)| Op::Create { parent, name, size, meta }
        ),
        4 => (pick.clone(), any_size(), any_meta())
            .prop_map(|(file, size, meta)| Op::Replace { file, size, meta }),
        2 => (pick.clone(), 1usize..150)
            .prop_map(|(parent, count)| Op::CreateMany { parent, count }),
        3 => (pick.clone(), name.clone(), any_meta())
            .prop_map(|(parent, name, meta)| Op::Mkdir { parent, name, meta }),
        3 => (pick.clone(), name, 1usize..700, any_meta()).prop_map(
            |(parent, name, len, meta)| Op::Symlink { parent, name, len, meta }
        ),
        2 => (pick.clone(), any_meta())
            .prop_map(|(path, meta)| Op::SetMeta { path, meta }),
        3 => pick.clone().prop_map(|path| Op::Remove { path }),
        1 => pick.prop_map(|path| Op::RemoveDir { path }),
        1 => Just(Op::Commit),
    ]
}

/// What should be there. Paths of one inode share a number.
#[derive(Clone)]
struct Model {
    tree: Tree,
    inodes: BTreeMap<String, u32>,
    /// Paths whose inode was edited in any way.
    touched: BTreeSet<String>,
    next: u32,
}

fn parent_of(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/".to_owned(),
        Some((parent, _)) => parent.to_owned(),
    }
}

impl Model {
    fn new(view: &View) -> Self {
        Self {
            tree: view.tree.clone(),
            inodes: view.inodes.clone(),
            touched: BTreeSet::new(),
            next: 1_000_000,
        }
    }

    fn paths(&self, wanted: impl Fn(&Kind) -> bool) -> Vec<String> {
        self.tree
            .iter()
            .filter(|(path, e)| wanted(&e.kind) && !path.contains("lost+found"))
            .map(|(path, _)| path.clone())
            .collect()
    }

    fn names_of(&self, path: &str) -> Vec<String> {
        let ino = self.inodes[path];
        let same = self.inodes.iter().filter(|(_, other)| **other == ino);
        same.map(|(path, _)| path.clone()).collect()
    }

    fn parent_changed(&mut self, path: &str) {
        let parent = parent_of(path);
        if let Some(entry) = self.tree.get_mut(&parent) {
            entry.meta.mtime = NOW;
        }
        self.touched.insert(parent);
    }

    fn insert(&mut self, path: &str, kind: Kind, meta: Meta) {
        let entry = Entry { kind, meta, xattrs: Vec::new() };
        self.tree.insert(path.to_owned(), entry);
        self.inodes.insert(path.to_owned(), self.next);
        self.next += 1;
        self.touched.insert(path.to_owned());
        self.parent_changed(path);
    }

    fn update(&mut self, path: &str, content: Option<Vec<u8>>, meta: Meta) {
        for name in self.names_of(path) {
            let entry = self.tree.get_mut(&name).unwrap();
            entry.meta = meta;
            if let Some(content) = &content {
                entry.kind = Kind::File(content.clone());
            }
            self.touched.insert(name);
        }
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        let gone: Vec<_> = self
            .tree
            .keys()
            .filter(|other| *other == path || other.starts_with(&below))
            .cloned()
            .collect();
        for path in gone {
            self.touched.extend(self.names_of(&path));
            self.tree.remove(&path);
            self.inodes.remove(&path);
        }
        self.parent_changed(path);
    }
}

fn pick(paths: &[String], number: usize) -> Option<&String> {
    paths.get(number.checked_rem(paths.len())?)
}

fn child(parent: &str, name: &str) -> String {
    format!("{}/{name}", parent.trim_end_matches('/'))
}

/// Runs one operation; the model follows where it succeeds.
fn apply(
    fs: &mut dyn Editor,
    model: &mut Model,
    op: &Op,
    step: u64,
) -> Result<(), FsErrorKind> {
    let dirs = || model.paths(|kind| *kind == Kind::Directory);
    let new = |parent: usize, name: u16| {
        let path = child(pick(&dirs(), parent)?, &format!("new-{name}-ü"));
        (!model.tree.contains_key(&path)).then_some(path)
    };
    match op {
        Op::Create { parent, name, size, meta } => {
            let Some(path) = new(*parent, *name) else { return Ok(()) };
            let content = noise(*size, step);
            fs.write(&path, &content.clone(), *meta).map_err(|e| e.kind)?;
            model.insert(&path, Kind::File(content), *meta);
        }
        Op::Replace { file, size, meta } => {
            let files = model.paths(|kind| matches!(kind, Kind::File(_)));
            // Half of the time one of the interesting ones.
            let interesting: Vec<_> = files
                .iter()
                .filter(|path| !path.starts_with("/index"))
                .cloned()
                .collect();
            let files = if file % 2 == 0 { interesting } else { files };
            let Some(path) = pick(&files, file / 2) else { return Ok(()) };
            let content = noise(*size, step);
            fs.write(path, &content.clone(), *meta).map_err(|e| e.kind)?;
            model.update(path, Some(content), *meta);
        }
        Op::CreateMany { parent, count } => {
            let dirs = dirs();
            let Some(dir) = pick(&dirs, *parent) else { return Ok(()) };
            // Mostly into the directory that has an index.
            let dir = if parent % 4 > 0 && dirs.contains(&"/index".into()) {
                "/index"
            } else {
                dir
            };
            for number in 0..*count {
                let name = format!("many-{step}-{number}");
                let path = child(dir, &name);
                if model.tree.contains_key(&path) {
                    continue;
                }
                let meta = meta(0o644, 0, 0, NOW);
                let content = name.into_bytes();
                let len = if number % 3 == 0 { content.len() } else { 0 };
                let content = content[..len].to_vec();
                fs.write(&path, &content.clone(), meta).map_err(|e| e.kind)?;
                model.insert(&path, Kind::File(content), meta);
            }
        }
        Op::Mkdir { parent, name, meta } => {
            let Some(path) = new(*parent, *name) else { return Ok(()) };
            fs.mkdir(&path, *meta).map_err(|e| e.kind)?;
            model.insert(&path, Kind::Directory, *meta);
        }
        Op::Symlink { parent, name, len, meta } => {
            let Some(path) = new(*parent, *name) else { return Ok(()) };
            let target: String = "target/".chars().cycle().take(*len).collect();
            fs.symlink(&path, &target, *meta).map_err(|e| e.kind)?;
            let meta = Meta { mode: 0o777, ..*meta };
            model.insert(&path, Kind::Symlink(target), meta);
        }
        Op::SetMeta { path, meta } => {
            let paths = model.paths(|_| true);
            let Some(path) = pick(&paths, *path) else { return Ok(()) };
            fs.set_meta(path, *meta).map_err(|e| e.kind)?;
            let mut meta = *meta;
            if matches!(model.tree[path].kind, Kind::Symlink(_)) {
                meta.mode = 0o777;
            }
            model.update(path, None, meta);
        }
        Op::Remove { path } => {
            let paths = model.paths(|kind| *kind != Kind::Directory);
            let Some(path) = pick(&paths, *path) else { return Ok(()) };
            fs.remove(path).map_err(|e| e.kind)?;
            model.remove(path);
        }
        Op::RemoveDir { path } => {
            let mut dirs = dirs();
            dirs.retain(|path| path != "/");
            let Some(path) = pick(&dirs, *path) else { return Ok(()) };
            fs.remove(path).map_err(|e| e.kind)?;
            model.remove(path);
        }
        Op::Commit => fs.commit().map_err(|e| e.kind)?,
    }
    Ok(())
}

/// Everything not touched must be told in the very same words: inode,
/// times, flags, blocks.
fn assert_untouched(before: &View, after: &View, model: &Model) {
    for (path, stat) in &before.stats {
        if !model.touched.contains(path) {
            assert_eq!(after.stats.get(path), Some(stat), "{path}");
        }
    }
}

fn run_sequence(set: usize, scenario: Scenario, ops: &[Op]) {
    let set = FEATURE_SETS[set % FEATURE_SETS.len()];
    let base = base(set, scenario);
    let base = base.get().unwrap();
    let disk = Disk::new(base.bytes.clone());
    let mut fs = disk.open();
    let mut model = Model::new(&base.view);
    let mut committed = model.clone();
    for (step, op) in (1u64..).zip(ops) {
        match apply(&mut fs, &mut model, op, step) {
            Ok(()) if matches!(op, Op::Commit) => committed = model.clone(),
            Ok(()) => {}
            // Full: what was not committed is lost, and nothing else.
            Err(FsErrorKind::NoSpace { .. }) => {
                fs = disk.open();
                model = committed.clone();
            }
            Err(error) => panic!("{}: {op:?}: {error}", set.name),
        }
    }
    assert_same("before commit", &own_view(&fs), &without_xattrs(&model.tree));
    fs.commit().unwrap();
    drop(fs);
    let dir = TempDir::new().unwrap();
    let bytes = disk.bytes();
    let view = judge(&bytes, dir.path());
    assert_same(set.name, &view.tree, &model.tree);
    assert_untouched(&base.view, &view, &model);
    assert_same(
        "our reader",
        &own_view(&disk.open()),
        &without_xattrs(&model.tree),
    );
    compare_ext4_view(bytes, &model.tree, set);
}

/// Runs a quarter of the sequences; PIFLASH_EXT4_SEQUENCES asks for more
/// than 200 in all.
fn sequences(scenario: Scenario, seed: u8) {
    let all = std::env::var("PIFLASH_EXT4_SEQUENCES")
        .map_or(200, |count| count.parse::<u32>().expect("a number"));
    let config = Config {
        cases: all.div_ceil(4),
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    };
    // Reproducible by default; other runs, other seeds.
    let fresh = std::env::var_os("PIFLASH_EXT4_SEQUENCES").is_some();
    let mut runner = if fresh {
        TestRunner::new(config)
    } else {
        let algorithm = proptest::test_runner::RngAlgorithm::ChaCha;
        let rng =
            proptest::test_runner::TestRng::from_seed(algorithm, &[seed; 32]);
        TestRunner::new_with_rng(config, rng)
    };
    let strategy =
        (0..FEATURE_SETS.len(), proptest::collection::vec(any_op(), 1..40));
    let result = runner.run(&strategy, |(set, ops)| {
        run_sequence(set, scenario, &ops);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{scenario:?}: {error}");
    }
}

#[test]
fn random_edits_of_a_roomy_file_system() {
    sequences(Scenario::Roomy, 1);
}

#[test]
fn random_edits_of_a_nearly_full_file_system() {
    sequences(Scenario::NearlyFull, 2);
}

#[test]
fn random_edits_of_a_fragmented_file_system() {
    sequences(Scenario::Fragmented, 3);
}

#[test]
fn random_edits_of_a_file_system_short_of_inodes() {
    sequences(Scenario::FewInodes, 4);
}

/// One fixed sequence on every feature set and in every scenario.
#[test]
fn one_sequence_everywhere() {
    let meta = meta(0o640, 70_000, 80_000, 5);
    let ops = [
        Op::Mkdir { parent: 3, name: 1, meta },
        Op::Create { parent: 4, name: 2, size: 9000, meta },
        Op::Symlink { parent: 2, name: 3, len: 59, meta },
        Op::Symlink { parent: 2, name: 4, len: 60, meta },
        Op::Replace { file: 4, size: 30_000, meta },
        Op::Commit,
        Op::Replace { file: 8, size: 0, meta },
        Op::Remove { path: 0 },
        Op::CreateMany { parent: 1, count: 20 },
    ];
    for set in 0..FEATURE_SETS.len() {
        for scenario in [
            scenario::Scenario::Roomy,
            Scenario::NearlyFull,
            Scenario::Fragmented,
            Scenario::FewInodes,
        ] {
            run_sequence(set, scenario, &ops);
        }
    }
}
