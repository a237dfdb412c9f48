//! What comes of devices that fail, and of images that do.

use super::{
    flow::{MIB, image, write},
    target::{Faults, Faulty},
};
use piflash::{
    disk::{Memory, ReadAt},
    progress::Silent,
    sink::device::{
        Destination, DeviceError, DeviceErrorKind, HEAD, Left, Source,
        WriteOptions, write_devices,
    },
};
use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

fn faulty(clears: bool, faults: Faults) -> Arc<Faulty> {
    Arc::new(Faulty::new(12 * MIB, 512, clears, faults))
}

fn fails(target: &Arc<Faulty>) -> DeviceError {
    let never = AtomicBool::new(false);
    let mut results = write(&image(9 * MIB), &[target], None, "disk", &never);
    results.remove(0).unwrap_err()
}

/// No byte of it is anything but zero.
fn is_erased(target: &Faulty) -> bool {
    target.content()[..HEAD as usize].iter().all(|byte| *byte == 0)
}

#[test]
fn a_write_that_fails_is_named_and_nothing_boots() {
    let at = 6 * MIB + 77;
    let target =
        faulty(false, Faults { bad_write: Some(at), ..Faults::default() });
    let error = fails(&target);
    assert_eq!(error.left, Left::Erased);
    let DeviceErrorKind::Io { op: "writing", offset: Some(offset), .. } =
        error.kind
    else {
        panic!("{error:?}")
    };
    assert!((offset..offset + 4 * MIB).contains(&at), "{offset}");
    assert!(is_erased(&target));
}

/// Silent damage anywhere is found, and the range that is named has it; also
/// in zeros, and in what is written last.
#[test]
fn a_byte_that_is_kept_wrong_is_found() {
    for at in [7 * MIB + 5, 9 * MIB - 1, 3 * MIB + 9, 4096] {
        let faults = Faults { flipped: Some(at), ..Faults::default() };
        let target = faulty(false, faults);
        let error = fails(&target);
        let DeviceErrorKind::Mismatch(runs) = &error.kind else {
            panic!("{at}: {error:?}")
        };
        let [run] = runs[..] else { panic!("{at}: {runs:?}") };
        assert!((run.start..run.end).contains(&at), "{at}: {run:?}");
        assert!(run.len() <= 4 * MIB);
        assert!(error.to_string().contains(&format!("{} to", run.start)));
        // The flipped byte itself cannot be erased.
        if at > HEAD {
            assert_eq!(error.left, Left::Erased);
            assert!(is_erased(&target));
        }
    }
}

#[test]
fn a_counterfeit_card_is_found() {
    let faults = Faults { counterfeit: Some(7 * MIB), ..Faults::default() };
    let target = faulty(false, faults);
    let error = fails(&target);
    let DeviceErrorKind::Mismatch(runs) = &error.kind else {
        panic!("{error:?}")
    };
    assert_eq!(runs.last().unwrap().end, 9 * MIB);
    assert!(is_erased(&target));
}

#[test]
fn reading_back_that_fails_and_flushes_that_fail_are_failures() {
    let faults = Faults { bad_read: Some(8 * MIB), ..Faults::default() };
    let target = faulty(true, faults);
    let error = fails(&target);
    assert!(
        matches!(error.kind, DeviceErrorKind::Io { op: "reading", .. }),
        "{error:?}"
    );
    assert!(is_erased(&target));
    let faults = Faults { bad_flush_after: Some(3), ..Faults::default() };
    let target = faulty(false, faults);
    let error = fails(&target);
    assert!(
        matches!(error.kind, DeviceErrorKind::Io { op: "flushing", .. }),
        "{error:?}"
    );
    assert!(is_erased(&target));
}

/// Pulled out at any time: nothing that boots is on it. Only while the last
/// step is under way nobody can know.
#[test]
fn a_card_that_is_pulled_out_does_not_boot() {
    let bytes = image(9 * MIB);
    let mut unknown = 0;
    for after in 0..20 {
        let faults = Faults { dies_after: Some(after), ..Faults::default() };
        let target = faulty(false, faults);
        let never = AtomicBool::new(false);
        let result = write(&bytes, &[&target], None, "disk", &never).remove(0);
        let Err(error) = result else {
            assert!(target.content()[..9 << 20] == bytes, "{after}");
            continue;
        };
        let found = target.content();
        if after == 0 {
            // Before the first write was on it.
            assert_eq!(error.left, Left::Unknown);
        } else if error.left == Left::Unknown {
            // It was gone when the head was given to it, or just behind.
            unknown += 1;
            let whole = found[..1 << 20] == bytes[..1 << 20];
            assert!(whole || is_erased(&target), "{after}");
        } else {
            assert_eq!(error.left, Left::Erased, "{after}");
            assert!(is_erased(&target), "{after}");
        }
    }
    assert!(unknown <= 2, "{unknown}");
}

#[test]
fn a_stop_erases() {
    for after in [2, 3, 4, 5] {
        let stop = Arc::new(AtomicBool::new(false));
        let stops_after = Some((after, Arc::clone(&stop)));
        let target = faulty(false, Faults { stops_after, ..Faults::default() });
        for way in ["disk", "stream"] {
            let result = write(&image(9 * MIB), &[&target], None, way, &stop);
            let error = result.into_iter().next().unwrap().unwrap_err();
            assert!(
                matches!(error.kind, DeviceErrorKind::Interrupted),
                "{after} {way}: {error:?}"
            );
            assert_eq!(error.left, Left::Erased);
            assert!(is_erased(&target));
        }
    }
}

/// One of several that fails is left out; the others get all of it.
#[test]
fn a_failing_card_does_not_hold_up_the_others() {
    let bytes = image(9 * MIB);
    let never = AtomicBool::new(false);
    for way in ["disk", "stream"] {
        let good = faulty(true, Faults::default());
        let bad = faulty(
            false,
            Faults { bad_write: Some(6 * MIB), ..Faults::default() },
        );
        let small =
            Arc::new(Faulty::new(2 * MIB, 512, false, Faults::default()));
        let last = faulty(false, Faults::default());
        let targets = [&good, &bad, &small, &last];
        let results = write(&bytes, &targets, None, way, &never);
        let left: Vec<_> = results
            .iter()
            .map(|result| result.as_ref().err().map(|error| error.left))
            .collect();
        assert_eq!(
            left,
            [None, Some(Left::Erased), Some(Left::Untouched), None],
            "{way}"
        );
        for target in [&good, &last] {
            assert!(target.content()[..9 << 20] == bytes, "{way}");
        }
        assert!(is_erased(&bad));
        assert!(small.content().iter().all(|byte| *byte == 0xaa));
    }
}

/// Of an image whose size nobody knew.
#[test]
fn an_image_that_turns_out_too_large_is_refused() {
    let target = Arc::new(Faulty::new(8 * MIB, 512, false, Faults::default()));
    let never = AtomicBool::new(false);
    let mut results = write(
        &image(9 * MIB),
        &[&target],
        None,
        "stream of unknown size",
        &never,
    );
    let error = results.remove(0).unwrap_err();
    assert!(
        matches!(error.kind, DeviceErrorKind::TooSmall { device, .. }
            if device == 8 * MIB),
        "{error:?}"
    );
    assert_eq!(error.left, Left::Erased);
    assert!(is_erased(&target));
}

/// An image that is damaged at its very end is on no card.
#[test]
fn an_image_that_cannot_be_read_is_not_completed() {
    struct Broken(Memory);
    impl ReadAt for Broken {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
            if offset + buf.len() as u64 == self.size() {
                return Err(io::Error::other("a bad sector of the builder's"));
            }
            self.0.read_at(offset, buf)
        }
    }
    let bytes = image(9 * MIB);
    let broken = Broken(Memory::new(bytes.clone()));
    let stream = Source::Stream {
        size: Some(bytes.len() as u64),
        read: Box::new(|receive| {
            receive(&bytes)?;
            Err("a checksum behind all of it".into())
        }),
    };
    let never = AtomicBool::new(false);
    for source in [Source::Disk(&broken), stream] {
        let targets =
            [faulty(true, Faults::default()), faulty(false, Faults::default())];
        let destinations = targets.each_ref().map(|target| Destination {
            target: Arc::clone(target) as Arc<_>,
            progress: &Silent,
        });
        let options = WriteOptions {
            verify: true,
            needed: None,
            check: None,
            stop: &never,
        };
        let results = write_devices(source, &destinations, &options);
        for (target, result) in targets.iter().zip(results) {
            let error = result.unwrap_err();
            assert!(
                matches!(error.kind, DeviceErrorKind::Source(_)),
                "{error:?}"
            );
            assert_eq!(error.left, Left::Erased);
            assert!(is_erased(target));
        }
    }
}

/// The check sees the card as it will be, though its head is not on it yet;
/// when it says no, nothing boots.
#[test]
fn what_the_check_refuses_does_not_boot() {
    let bytes = image(9 * MIB);
    let never = AtomicBool::new(false);
    for accept in [true, false] {
        let target = faulty(false, Faults::default());
        let check = |disk: Arc<dyn ReadAt>| {
            assert_eq!(disk.size(), 9 * MIB);
            for (offset, len) in
                [(0, 4096), (MIB - 7, 100), (5 * MIB + 3, MIB as usize)]
            {
                let mut buf = vec![0; len];
                disk.read_at(offset, &mut buf).unwrap();
                assert!(buf == bytes[offset as usize..][..len], "{offset}");
            }
            assert!(disk.read_at(9 * MIB - 1, &mut [0, 0]).is_err());
            assert!(is_erased(&target));
            if accept { Ok(()) } else { Err("hostname is not there".into()) }
        };
        let options = WriteOptions {
            verify: true,
            needed: None,
            check: Some(&check),
            stop: &never,
        };
        let disk = Memory::new(bytes.clone());
        let destination = Destination {
            target: Arc::clone(&target) as Arc<_>,
            progress: &Silent,
        };
        let result =
            write_devices(Source::Disk(&disk), &[destination], &options)
                .remove(0);
        match result {
            Ok(_) => assert!(accept && target.content()[..9 << 20] == bytes),
            Err(error) => {
                assert!(!accept);
                assert!(matches!(error.kind, DeviceErrorKind::Check(_)));
                assert!(is_erased(&target));
            }
        }
    }
}

#[test]
fn sectors_that_cannot_be_addressed_are_refused() {
    for sector in [8192, 520] {
        let size = 12 * MIB / sector * sector;
        let target =
            Arc::new(Faulty::new(size, sector, false, Faults::default()));
        let error = fails(&target);
        assert!(
            matches!(error.kind, DeviceErrorKind::Sector(s) if s == sector)
        );
        assert_eq!(error.left, Left::Untouched);
        assert!(target.calls().is_empty());
    }
}
