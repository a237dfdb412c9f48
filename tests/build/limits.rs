//! What the machine, or its file systems, do not allow.

use std::process::Command;

use crate::support::{env::Env, repository};

const BUILD: [&str; 4] = ["build", "node3", "--image=demo", "--offline"];

fn example() -> String {
    let example = repository().join("examples/homelab.yml");
    example.to_str().unwrap().to_owned()
}

/// `ulimit -f`: an error that names the file, and no silent end by a signal.
#[test]
fn a_limit_of_file_sizes_is_an_error() {
    let env = Env::new();
    // In units of 512 bytes, of a shell that is not bash.
    let script = "ulimit -f 4096; exec \"$@\"";
    let output = Command::new("dash")
        .args(["-c", script, "dash", env!("CARGO_BIN_EXE_piflash"), "-i"])
        .arg(example())
        .args(BUILD)
        .env("HOME", env.home())
        .env("TMPDIR", env.home())
        .current_dir(env.work())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}: {said}", output.status);
    assert!(said.contains("File too large"), "{said}");
    assert!(!env.work().join("build/images/node3.img").exists());
}

/// Of a file system without modes: secrets go elsewhere, and stay found.
#[test]
fn secrets_have_a_directory_of_their_own() {
    let env = Env::new();
    let (example, dir) = (example(), env.home().join("secrets"));
    let dir = dir.to_str().unwrap();
    let build = |more: &[&str]| {
        let args = [&["-i", &example][..], &BUILD, more].concat();
        env.run(&args)
    };
    let elsewhere = ["--secrets-dir", dir];
    let first = build(&elsewhere);
    assert_eq!(first.code, Some(0), "{first}");
    assert!(!env.work().join("build/secrets").exists());
    let key = std::fs::read(format!("{dir}/nodes/node3/ssh_host_ed25519_key"));
    let key = key.unwrap();
    let image = env.read("build/images/node3.img");

    // It is remembered.
    let again = build(&[]);
    assert_eq!(again.code, Some(0), "{again}");
    assert!(!env.work().join("build/secrets").exists());
    assert!(env.read("build/images/node3.img") == image);
    let path = format!("{dir}/nodes/node3/ssh_host_ed25519_key");
    assert_eq!(std::fs::read(path).unwrap(), key);

    // Whoever holds the cluster's key is kept where modes count.
    for (at, there) in [(dir, true), ("build", false)] {
        let config = env.work().join(at).join("k3s-config.yml");
        assert_eq!(config.exists(), there, "{at}");
    }
    let named = "--kubeconfig $HOME/secrets/k3s-config.yml";
    assert!(again.stderr.contains(named), "{again}");

    // Not mounted, or named as another place by mistake: nobody gets another
    // identity.
    let away = env.home().join("away");
    std::fs::rename(dir, &away).unwrap();
    let missing = build(&[]);
    assert_eq!(missing.code, Some(2), "{missing}");
    assert!(missing.stderr.contains("mount it"), "{missing}");
    assert!(!env.work().join("build/secrets").exists());
    std::fs::rename(&away, dir).unwrap();
    let other = env.home().join("other");
    let other = build(&["--secrets-dir", other.to_str().unwrap()]);
    assert_eq!(other.code, Some(2), "{other}");
    assert!(other.stderr.contains("mv $HOME/secrets"), "{other}");

    // Moved back; and added where there are some.
    std::fs::rename(dir, env.work().join("build/secrets")).unwrap();
    assert_eq!(build(&[]).code, Some(0));
    assert!(env.read("build/images/node3.img") == image);
    let added = build(&elsewhere);
    assert_eq!(added.code, Some(2), "{added}");
    assert!(added.stderr.contains("mv build/secrets"), "{added}");
}

#[test]
fn secrets_that_others_read_name_the_way_out() {
    let env = Env::new();
    env.write("build/secrets/.gitignore", "*\n");
    env.chmod("build/secrets", 0o755);
    let example = example();
    let outcome = env.run(&[&["-i", &example][..], &BUILD].concat());
    assert_ne!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.stderr.contains("--secrets-dir DIR"), "{outcome}");
}
