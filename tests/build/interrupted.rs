//! `kill -9` in the middle of a build.

use std::{fs, process::Command, thread::sleep, time::Duration};

use crate::support::{env::Env, repository};

/// The program is killed after ever longer times, until it once gets to the
/// end: what is under the image's name is always whole, or what was there.
#[test]
fn a_killed_build_leaves_the_old_image_or_the_new_one() {
    let env = Env::new();
    let example = repository().join("examples/homelab.yml");
    let image = env.work().join("build/images/node3.img");
    fs::create_dir_all(image.parent().unwrap()).unwrap();
    let old = b"the image of last week".to_vec();
    let build = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_piflash"));
        command
            .args(["--quiet", "-i", example.to_str().unwrap()])
            .args(["build", "node3", "--image", "demo", "--offline"])
            .env("SOURCE_DATE_EPOCH", "1781740800")
            .env("HOME", env.home())
            .current_dir(env.work());
        command
    };
    assert!(build().status().unwrap().success());
    let new = fs::read(&image).unwrap();

    let (mut killed, mut finished) = (0, 0);
    let mut pause = Duration::from_millis(1);
    while finished == 0 {
        fs::write(&image, &old).unwrap();
        let mut child = build().spawn().unwrap();
        sleep(pause);
        child.kill().unwrap();
        let status = child.wait().unwrap();
        let found = fs::read(&image).unwrap();
        assert!(found == old || found == new, "after {pause:?}");
        if status.success() {
            assert!(found == new);
            finished += 1;
        } else {
            killed += 1;
        }
        pause = pause.mul_f32(1.2);
    }
    assert!(killed > 5, "it was killed only {killed} times");

    // What a kill may leave behind, the next run clears away.
    assert!(build().status().unwrap().success());
    let mut left: Vec<_> = fs::read_dir(image.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["SHA256SUMS", "node3.img", "node3.json"]);
}
