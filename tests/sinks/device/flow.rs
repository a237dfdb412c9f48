//! What comes to be on a device that works.

use super::target::{Call, Faults, Faulty};
use piflash::{
    disk::{Memory, ReadAt},
    progress::Silent,
    sink::device::{
        Destination, DeviceError, HEAD, Runs, Source, WriteOptions, Written,
        write_devices,
    },
};
use std::sync::{Arc, atomic::AtomicBool};

pub const MIB: u64 = 1 << 20;

/// An image with data, short and long zeros, and an end inside of a block.
pub fn image(size: u64) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8 | 1
        })
        .collect();
    for (from, to) in [(MIB + 4096, MIB + 8192), (2 * MIB, 5 * MIB + 512)] {
        for byte in bytes.iter_mut().take(to as usize).skip(from as usize) {
            *byte = 0;
        }
    }
    bytes
}

/// Writes an image to some targets, as a disk or as a stream.
pub fn write(
    image: &[u8],
    targets: &[&Arc<Faulty>],
    needed: Option<Runs>,
    way: &str,
    stop: &AtomicBool,
) -> Vec<Result<Written, DeviceError>> {
    let destinations: Vec<_> = targets
        .iter()
        .map(|target| Destination {
            target: Arc::clone(*target) as Arc<_>,
            progress: &Silent,
        })
        .collect();
    let options = WriteOptions { verify: true, needed, check: None, stop };
    let disk = Memory::new(image.to_vec());
    let source = match way {
        "disk" => Source::Disk(&disk),
        _ => Source::Stream {
            size: (way == "stream").then_some(image.len() as u64),
            read: Box::new(|receive| {
                for piece in image.chunks(100_003) {
                    receive(piece)?;
                }
                Ok(())
            }),
        },
    };
    write_devices(source, &destinations, &options)
}

fn one(target: &Arc<Faulty>, image: &[u8], way: &str) -> Written {
    let never = AtomicBool::new(false);
    let mut all = write(image, &[target], None, way, &never);
    all.remove(0).unwrap()
}

/// Every way, sector size and kind of device ends with the image, zeros and
/// all, whatever was there before.
#[test]
fn the_image_is_on_the_device() {
    for size in [9 * MIB, 6 * MIB - 512, MIB, 512] {
        let image = image(size);
        for (sector, clears) in
            [(512, false), (512, true), (4096, false), (4096, true)]
        {
            for way in ["disk", "stream", "stream of unknown size"] {
                let target =
                    Faulty::new(12 * MIB, sector, clears, Faults::default());
                let target = Arc::new(target);
                let written = one(&target, &image, way);
                let found = target.content();
                let what = format!("{size} {sector} {clears} {way}");
                assert!(found[..size as usize] == image, "{what}");
                assert_eq!(written.size, size, "{what}");
                // What the sector behind the image had is gone.
                let end = size.next_multiple_of(sector) as usize;
                assert!(found[size as usize..end].iter().all(|b| *b == 0));
            }
        }
    }
}

/// What a board could start from is erased and flushed before anything else
/// is written, and is written after everything else was flushed.
#[test]
fn the_head_is_first_erased_and_last_written() {
    for clears in [false, true] {
        let target =
            Arc::new(Faulty::new(12 * MIB, 512, clears, Faults::default()));
        one(&target, &image(9 * MIB), "disk");
        let calls = target.calls();
        assert_eq!(calls[..2], [Call::Write(0, MIB), Call::Flush]);
        let end = calls.len();
        assert_eq!(
            calls[end - 4..],
            [Call::Flush, Call::Write(0, MIB), Call::Flush, Call::Reread]
        );
        let heads = calls.iter().filter(
            |call| matches!(call, Call::Write(offset, _) if *offset < HEAD),
        );
        assert_eq!(heads.count(), 2);
    }
}

/// A device that clears itself is written nothing but the data.
#[test]
fn zeros_are_not_written_where_the_device_makes_them() {
    let image = image(9 * MIB);
    let clearing =
        Arc::new(Faulty::new(12 * MIB, 512, true, Faults::default()));
    let written = one(&clearing, &image, "disk");
    let data: u64 = image
        .chunks(4096)
        .filter(|block| block.iter().any(|byte| *byte != 0))
        .map(|block| block.len() as u64)
        .sum();
    assert_eq!(written.written, data);
    assert_eq!(written.zeroed, 9 * MIB - data);
    let plain = Arc::new(Faulty::new(12 * MIB, 512, false, Faults::default()));
    assert_eq!(one(&plain, &image, "disk").written, 9 * MIB);
}

/// Ranges that do not matter are neither read nor written.
#[test]
fn only_what_matters_is_written() {
    struct Half(Memory);
    impl ReadAt for Half {
        fn size(&self) -> u64 {
            self.0.size()
        }
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            assert!(offset + buf.len() as u64 <= 7 * MIB, "{offset}");
            self.0.read_at(offset, buf)
        }
    }
    let bytes = image(9 * MIB);
    let needed = Runs::new([(0, 6 * MIB), (6 * MIB, MIB)]);
    let never = AtomicBool::new(false);
    for way in ["disk", "stream", "half"] {
        let target =
            Arc::new(Faulty::new(12 * MIB, 512, false, Faults::default()));
        let needed = Some(needed.clone());
        let result = if way == "half" {
            let half = Half(Memory::new(bytes.clone()));
            let options = WriteOptions {
                verify: true,
                needed,
                check: None,
                stop: &never,
            };
            let destination = Destination {
                target: Arc::clone(&target) as Arc<_>,
                progress: &Silent,
            };
            write_devices(Source::Disk(&half), &[destination], &options)
        } else {
            write(&bytes, &[&target], needed, way, &never)
        };
        let written = result.into_iter().next().unwrap().unwrap();
        assert_eq!(written.written, 7 * MIB, "{way}");
        let found = target.content();
        assert!(found[..7 << 20] == bytes[..7 << 20], "{way}");
        assert!(found[7 << 20..11 << 20].iter().all(|b| *b == 0xaa), "{way}");
    }
}

/// The end of a device may hold the backup of a GPT, which would come back.
#[test]
fn the_end_of_the_device_is_erased() {
    let target = Arc::new(Faulty::new(12 * MIB, 512, false, Faults::default()));
    one(&target, &image(3 * MIB), "disk");
    let found = target.content();
    assert!(found[11 << 20..].iter().all(|byte| *byte == 0));
    assert!(found[5 << 20..11 << 20].iter().all(|byte| *byte == 0xaa));
}
