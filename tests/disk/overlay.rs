use piflash::disk::{
    Extent, ImageFile, Memory, Overlay, OverlayOptions, ReadAt, Window,
    WriteAt, Zeros, extents,
};
use proptest::prelude::*;
use std::{io::ErrorKind, sync::Arc};

fn spilling(base: Arc<dyn ReadAt>, memory_limit: u64) -> Overlay {
    let spill_dir = std::env::temp_dir();
    Overlay::with_options(base, OverlayOptions { memory_limit, spill_dir })
}

fn content(device: &dyn ReadAt) -> Vec<u8> {
    let mut all = vec![0; usize::try_from(device.size()).unwrap()];
    device.read_at(0, &mut all).unwrap();
    all
}

fn differing_blocks(a: &[u8], b: &[u8]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (i, (a, b)) in a.chunks(4096).zip(b.chunks(4096)).enumerate() {
        let offset = i as u64 * 4096;
        match runs.last_mut() {
            _ if a == b => {}
            Some((start, len)) if *start + *len == offset => {
                *len += a.len() as u64;
            }
            _ => runs.push((offset, a.len() as u64)),
        }
    }
    runs
}

proptest! {
    /// Overlay against a plain vector; with and without spilling.
    #[test]
    fn behaves_as_a_vector(
        seed in prop::collection::vec(0u8..3, 1..8),
        size in 1usize..40_000,
        limit in 0u64..30_000,
        writes in prop::collection::vec(
            (0usize..40_000, 0usize..13_000, any::<u8>(), any::<bool>()),
            0..20,
        ),
    ) {
        let base: Vec<u8> =
            (0..size).map(|i| seed[i / 5000 % seed.len()]).collect();
        let mut model = base.clone();
        let overlay = spilling(Arc::new(base.clone()), limit);
        for (start, len, byte, undo) in writes {
            let start = start % size;
            let end = (start + len).min(size);
            let bytes = if undo {
                base[start..end].to_vec()
            } else {
                vec![byte; end - start]
            };
            overlay.write_at(start as u64, &bytes).unwrap();
            model[start..end].copy_from_slice(&bytes);
            let mut back = vec![0; end - start];
            overlay.read_at(start as u64, &mut back).unwrap();
            prop_assert_eq!(&back, &bytes);
        }
        prop_assert!(content(&overlay) == model);
        prop_assert_eq!(
            overlay.changed().unwrap(),
            differing_blocks(&base, &model)
        );
        prop_assert!(content(&**overlay.base()) == base);
        let mut end = 0;
        for extent in extents(&overlay) {
            let Extent { offset, len, zero } = extent.unwrap();
            prop_assert_eq!(offset, end);
            end += len;
            let run = &model[offset as usize..end as usize];
            prop_assert!(!zero || run.iter().all(|b| *b == 0));
        }
        prop_assert_eq!(end, size as u64);
    }
}

#[test]
fn refuses_what_is_past_the_end() {
    let overlay = Overlay::new(Arc::new(Zeros(5000)));
    for (offset, len) in [(4999, 2), (5000, 1), (u64::MAX, 1), (0, 5001)] {
        let mut buf = vec![0; len];
        let kind = overlay.read_at(offset, &mut buf).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::UnexpectedEof);
        let kind = overlay.write_at(offset, &buf).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::UnexpectedEof);
    }
    assert_eq!(overlay.changed().unwrap(), []);
    overlay.write_at(5000, &[]).unwrap();
}

#[test]
fn a_window_ends_where_the_partition_ends() {
    let disk = Arc::new(Memory::new((0..100).collect()));
    let window = Window::new(disk.clone(), 10, 20).unwrap();
    let mut buf = [0; 2];
    window.read_at(18, &mut buf).unwrap();
    assert_eq!(buf, [28, 29]);
    assert!(window.read_at(19, &mut buf).is_err());
    assert!(window.write_at(19, &buf).is_err());
    assert!(window.read_at(u64::MAX, &mut buf).is_err());
    window.write_at(0, &[7, 7]).unwrap();
    drop(window);
    let disk = Arc::into_inner(disk).unwrap().into_inner();
    assert_eq!(&disk[9..13], [9, 7, 7, 12]);
    assert!(Window::new(disk.as_slice(), 81, 20).is_err());
    assert!(Window::new(disk.as_slice(), u64::MAX, 2).is_err());
}

#[test]
fn a_sparse_file_shows_its_holes() {
    let file = tempfile::tempfile().unwrap();
    file.set_len((8 << 20) + 1).unwrap();
    let image = ImageFile::new(file).unwrap();
    image.write_at(4 << 20, &[1; 65536]).unwrap();
    let found: Vec<_> = extents(&image).map(Result::unwrap).collect();
    let zero = |offset, len| Extent { offset, len, zero: true };
    let end = (4 << 20) + 65536;
    assert_eq!(
        found,
        [
            zero(0, 4 << 20),
            Extent { offset: 4 << 20, len: 65536, zero: false },
            zero(end, (8 << 20) + 1 - end),
        ]
    );
    let overlay = Overlay::new(Arc::new(image));
    overlay.write_at(8192, &[0]).unwrap();
    let found: Vec<_> = extents(&overlay).map(Result::unwrap).collect();
    assert_eq!(found.len(), 5);
    assert_eq!(found[1], Extent { offset: 8192, len: 4096, zero: false });
}

#[test]
fn many_threads_may_write() {
    let overlay = spilling(Arc::new(Zeros(1 << 20)), 100 << 10);
    std::thread::scope(|scope| {
        for t in 0..8u8 {
            let overlay = &overlay;
            scope.spawn(move || {
                for block in 0..32 {
                    let at = (block * 8 + u64::from(t)) * 4096;
                    overlay.write_at(at, &[t + 1; 4096]).unwrap();
                }
            });
        }
    });
    let all = content(&overlay);
    for (i, block) in all.chunks(4096).enumerate() {
        assert!(block.iter().all(|b| usize::from(*b) == i % 8 + 1));
    }
    assert_eq!(overlay.changed().unwrap(), [(0, 1 << 20)]);
}

/// 70 MB in 4 KiB writes; run with `--ignored --nocapture` for figures.
#[test]
#[ignore = "a measurement"]
#[expect(clippy::print_stderr, reason = "the figures")]
fn measure_a_large_file() {
    for limit in [128 << 20, 0] {
        let overlay = spilling(Arc::new(Zeros(200 << 20)), limit);
        let start = std::time::Instant::now();
        for block in 0..18_000u64 {
            overlay.write_at(block * 4096, &[1; 4096]).unwrap();
        }
        let written = start.elapsed();
        let start = std::time::Instant::now();
        assert_eq!(overlay.changed().unwrap(), [(0, 18_000 * 4096)]);
        eprintln!(
            "limit {limit}: written {written:?}, changed {:?}",
            start.elapsed()
        );
    }
}
