//! The real sshd with the keys of a card, and the real ssh with what piflash
//! tells it: as when a node has booted.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use super::built;
use crate::support::{env::Env, oracle};

/// Where the ext4 of the demo image begins.
const ROOT: u64 = 98304 * 512;

/// An sshd on the loopback, ended when dropped.
struct Sshd {
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Sshd {
    /// Starts it with these host keys; whoever has `authorized` may come in.
    fn start(dir: &Path, keys: &[PathBuf], authorized: &Path) -> Self {
        // As root it wants the directory that its unit makes.
        if rustix::process::getuid().is_root() {
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nUsePAM no\n\
             StrictModes no\nPidFile none\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nAuthorizedKeysFile {}\n",
            authorized.display()
        );
        for key in keys {
            config += &format!("HostKey {}\n", key.display());
        }
        let file = dir.join("sshd_config");
        fs::write(&file, config).unwrap();
        let log = dir.join("sshd.log");
        // sshd insists on its absolute path.
        let program = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .expect("no sshd: is Debian's package openssh-server installed?");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut sshd = Self { child, port, log };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = sshd.child.try_wait().unwrap();
            let late = start.elapsed() > Duration::from_secs(20);
            assert!(ended.is_none() && !late, "{ended:?}: {}", sshd.said());
            sleep(Duration::from_millis(20));
        }
        sshd
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn whoami() -> String {
    let name = oracle::run("id", &["-un"]).unwrap();
    String::from_utf8(name).unwrap().trim().to_owned()
}

/// A node at the loopback address.
fn node() -> Env {
    let env = Env::new();
    let ssh = env.home().join(".ssh");
    fs::create_dir(&ssh).unwrap();
    make_key(&ssh.join("id_ed25519"), "ed25519");
    env.write(
        "inventory.yml",
        "all:
  hosts:
    node3: {ansible_host: 127.0.0.1}
  children:
    raspbian: {hosts: {node3: }}
  vars:
    ansible_user: ada
",
    );
    built(&env, "node3");
    env
}

fn make_key(path: &Path, kind: &str) {
    let path = path.to_str().unwrap();
    oracle::run("ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", path])
        .unwrap();
}

/// Takes a host key out of the card.
fn key_of_card(env: &Env, image: &Path, name: &str) -> PathBuf {
    let out = env.work().join(name);
    let command = format!("dump /etc/ssh/{name} {}\n", out.display());
    oracle::debugfs(image, ROOT, &command).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o600)).unwrap();
    out
}

/// The command of the README, but for port and account. It runs elsewhere, as paths
/// are to be absolute.
fn ssh(env: &Env, build_dir: &str, sshd: &Sshd) -> Output {
    Command::new("ssh")
        .arg("-F")
        .arg(env.work().join(build_dir).join("ssh_config"))
        .args(["-p", &sshd.port.to_string(), "-l", &whoami()])
        .args(["-o", "BatchMode=yes"])
        // No agent's or builder's own keys.
        .args(["-o", "IdentitiesOnly=yes", "-v", "node3", "echo", "hello"])
        .env_remove("SSH_AUTH_SOCK")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .expect("no ssh: is Debian's package openssh-client installed?")
}

#[test]
fn the_owner_gets_in_without_a_question() {
    let env = node();
    let authorized = env.home().join(".ssh/id_ed25519.pub");
    let image = env.work().join("build/images/node3.img");
    let ed25519 = key_of_card(&env, &image, "ssh_host_ed25519_key");
    let ecdsa = key_of_card(&env, &image, "ssh_host_ecdsa_key");
    // What `ssh-keygen -A` adds on the node: nobody knows it.
    let rsa = env.work().join("ssh_host_rsa_key");
    make_key(&rsa, "rsa");
    for (keys, used) in [
        (vec![rsa.clone(), ecdsa.clone(), ed25519], "ssh-ed25519"),
        (vec![rsa, ecdsa], "ecdsa-sha2-nistp256"),
    ] {
        let sshd = Sshd::start(&env.work(), &keys, &authorized);
        let output = ssh(&env, "build", &sshd);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{}", sshd.said());
        assert_eq!(output.stdout, b"hello\n");
        let line = format!("Server host key: {used} ");
        assert!(said.contains(&line), "{said}");
        // Nothing was added to what piflash wrote.
        let hosts = String::from_utf8(env.read("build/known_hosts")).unwrap();
        assert_eq!(hosts.lines().count(), 2, "{hosts}");
    }
}

#[test]
fn another_host_at_the_address_is_refused() {
    let env = node();
    let authorized = env.home().join(".ssh/id_ed25519.pub");
    for kind in ["ed25519", "rsa"] {
        let other = env.work().join(format!("other_{kind}"));
        make_key(&other, kind);
        let sshd = Sshd::start(&env.work(), &[other], &authorized);
        let output = ssh(&env, "build", &sshd);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(255), "{said}");
        assert_eq!(output.stdout, b"");
        assert!(said.contains("Host key verification failed"), "{said}");
    }
}

/// Blanks and per cent signs in the paths of the build directory and of the
/// owner's key.
#[test]
fn odd_directories_are_quoted() {
    let env = node();
    let key = env.work().join("my key 100%h");
    make_key(&key, "ed25519");
    let inventory = String::from_utf8(env.read("inventory.yml")).unwrap();
    let public = format!("{}.pub", key.display());
    let more = format!("    ssh_authorized_keys: [\"{public}\"]\n");
    env.write("inventory.yml", inventory + &more);
    let dir = "my build 100%h";
    let args = ["build", "node3", "--image", "demo", "--build-dir", dir];
    let outcome = env.run(&args);
    assert_eq!(outcome.code, Some(0), "{outcome}");

    let image = env.work().join(dir).join("images/node3.img");
    let host_key = key_of_card(&env, &image, "ssh_host_ed25519_key");
    // The server's own configuration is not what is tested here.
    let authorized = env.work().join("authorized");
    fs::copy(&public, &authorized).unwrap();
    let sshd = Sshd::start(&env.work(), &[host_key], &authorized);
    let output = ssh(&env, dir, &sshd);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", sshd.said());
    assert_eq!(output.stdout, b"hello\n");

    // As which account, and where, `ssh` here had to be told otherwise.
    let config = env.work().join(dir).join("ssh_config");
    let config = config.to_str().unwrap();
    let said = oracle::run("ssh", &["-G", "-F", config, "node3"]).unwrap();
    let said = String::from_utf8(said).unwrap();
    for line in [
        "user ada",
        "hostname 127.0.0.1",
        "hostkeyalias node3",
        "stricthostkeychecking true",
    ] {
        assert!(said.lines().any(|l| l == line), "{line} in {said}");
    }
}
