//! The system's `ssh`, with what the builds wrote: no question, no key that
//! was not known before, and an end to all waiting.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, TryRecvError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use super::text::{clean, last_lines};

/// Printed on the node before anything else: whatever comes before it is of
/// the login, and no answer.
const MARK: &str = "piflash: logged in";
/// How often a program is asked whether it has ended.
const TICK: Duration = Duration::from_millis(10);
/// Standard error of a remote program counts up to so many bytes.
const ERROR_LIMIT: u64 = 64 << 10;

/// ssh to the nodes that were built.
#[derive(Clone, Debug)]
pub struct Ssh {
    config: PathBuf,
    known: BTreeSet<String>,
    /// To connect, and without a sign of life.
    patience: Duration,
}

/// Why there is no ssh to any node.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", .path.display())]
pub struct SshConfigError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// What is to run on a node.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// For the account's shell.
    pub script: &'a str,
    /// Its standard input.
    pub input: &'a [u8],
    /// All of it takes so long at most.
    pub limit: Duration,
    /// Its standard output has so many bytes at most.
    pub most: u64,
}

/// What a program on a node gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The exit code.
    pub code: i32,
    /// Standard output; untrusted.
    pub stdout: String,
    /// Standard error; untrusted.
    pub stderr: String,
}

/// Why nothing ran on a node, or not to its end. Texts of others are clean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `ssh_config` has no block for it.
    #[error("no card of it was built here")]
    NeverBuilt,
    /// Nobody there.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// Another host key than that of the card.
    #[error("HOST KEY CHANGED: this is not the node whose card was built here")]
    HostKeyChanged,
    /// No host key is known.
    #[error("its host key is not in known_hosts")]
    HostKeyUnknown,
    /// The account or its key is not let in.
    #[error("login refused: {0}")]
    Refused(String),
    /// It did not come to an end in time.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// More came than any honest answer has.
    #[error("an answer of more than {0} bytes")]
    TooMuch(u64),
    /// The connection broke after the login.
    #[error("the connection broke: {0}")]
    Lost(String),
    /// Anything else that ssh says.
    #[error("ssh failed: {0}")]
    Other(String),
    /// Nobody wants to know any more.
    #[error("interrupted")]
    Cancelled,
}

impl Ssh {
    /// Reads which nodes `ssh_config` of a build directory knows.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(
        build_dir: &Path,
        patience: Duration,
    ) -> Result<Self, SshConfigError> {
        let config = build_dir.join("ssh_config");
        let text = fs::read_to_string(&config).map_err(|source| {
            SshConfigError { path: config.clone(), source }
        })?;
        let known = text
            .lines()
            .filter_map(|line| line.strip_prefix("Host "))
            .map(str::to_owned)
            .collect();
        Ok(Self { config, known, patience })
    }

    /// Says whether a card of the node was ever built here.
    #[must_use]
    pub fn knows(&self, node: &str) -> bool {
        self.known.contains(node)
    }

    /// Runs something on a node, as its account.
    ///
    /// # Errors
    /// If it did not run, or not to its end. An exit code is no error.
    pub fn run(
        &self,
        node: &str,
        request: &Request<'_>,
        cancelled: &AtomicBool,
    ) -> Result<Output, Failure> {
        if !self.knows(node) {
            return Err(Failure::NeverBuilt);
        }
        // Not all of it is in the path of an account that is not root's.
        let script = format!(
            "echo '{MARK}'; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; {}",
            request.script
        );
        let mut child = self.start(node, &script)?;
        let ended = exchange(&mut child, request, cancelled);
        // An end that came by itself is not harmed.
        let _ = child.kill();
        let _ = child.wait();
        let (code, stdout, stderr) = ended?;
        judge(code, &stdout, &stderr)
    }

    fn start(&self, node: &str, script: &str) -> Result<Child, Failure> {
        let seconds = self.patience.as_secs().max(1);
        Command::new("ssh")
            .arg("-F")
            .arg(&self.config)
            .args(["-T", "-o", "BatchMode=yes"])
            // No banner, and nothing of the login but errors.
            .args(["-o", "LogLevel=ERROR", "-o", "ConnectionAttempts=1"])
            .args(["-o", "ClearAllForwardings=yes"])
            .args(["-o", &format!("ConnectTimeout={seconds}")])
            .args(["-o", &format!("ServerAliveInterval={seconds}")])
            .args(["-o", "ServerAliveCountMax=2"])
            .args(["--", node, script])
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| {
                Failure::Other(format!(
                    "it does not start ({e}): is it \
                    installed? (Debian: openssh-client)"
                ))
            })
    }
}

/// Quotes a word for the shell of an account.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A stream's bytes, and whether there were more.
type Gathered = (Vec<u8>, bool);

fn gather(
    stream: Option<impl Read + Send + 'static>,
    most: u64,
) -> Receiver<Gathered> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let most = most.saturating_add(1);
            // What came before an error counts.
            let _ = stream.take(most).read_to_end(&mut bytes);
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let _ = sender.send((bytes, len > most));
    });
    receiver
}

/// Waits for the end of ssh and for all it says.
fn exchange(
    child: &mut Child,
    request: &Request<'_>,
    cancelled: &AtomicBool,
) -> Result<(i32, Vec<u8>, Vec<u8>), Failure> {
    let start = Instant::now();
    let (stdin, input) = (child.stdin.take(), request.input.to_vec());
    // A program need not read all of it.
    thread::spawn(move || stdin.map(|mut pipe| pipe.write_all(&input)));
    let out = gather(child.stdout.take(), request.most);
    let err = gather(child.stderr.take(), ERROR_LIMIT);
    let (mut stdout, mut stderr) = (None, None);
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(Failure::Cancelled);
        }
        listen(&out, &mut stdout);
        listen(&err, &mut stderr);
        if stdout.as_ref().is_some_and(|(_, more)| *more) {
            return Err(Failure::TooMuch(request.most));
        }
        let status = child
            .try_wait()
            .map_err(|e| Failure::Other(format!("it is lost ({e})")))?;
        if let Some(status) = status
            && let (Some(stdout), Some(stderr)) = (&stdout, &stderr)
        {
            // Killed by a signal, it has no code.
            let code = status.code().unwrap_or(255);
            return Ok((code, stdout.0.clone(), stderr.0.clone()));
        }
        if start.elapsed() > request.limit {
            return Err(Failure::Late(request.limit));
        }
        thread::sleep(TICK);
    }
}

fn listen(receiver: &Receiver<Gathered>, heard: &mut Option<Gathered>) {
    if heard.is_none() {
        *heard = match receiver.try_recv() {
            Ok(gathered) => Some(gathered),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some((Vec::new(), false)),
        };
    }
}

/// Tells what ran from what did not. ssh gives 255 for its own errors, and
/// so may the program on the node.
fn judge(code: i32, stdout: &[u8], stderr: &[u8]) -> Result<Output, Failure> {
    let stdout = String::from_utf8_lossy(stdout);
    let stderr = String::from_utf8_lossy(stderr).into_owned();
    let mark = format!("{MARK}\n");
    if let Some((_, answer)) = stdout.split_once(&mark) {
        if code == 255 {
            return Err(Failure::Lost(reason(&stderr)));
        }
        return Ok(Output { code, stdout: answer.to_owned(), stderr });
    }
    let said = |text: &str| stderr.contains(text);
    Err(if said("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        Failure::HostKeyChanged
    } else if said("Host key verification failed") {
        Failure::HostKeyUnknown
    } else if said("Permission denied")
        || said("Too many authentication failures")
    {
        Failure::Refused(reason(&stderr))
    } else if UNREACHABLE.into_iter().any(said) {
        Failure::Unreachable(reason(&stderr))
    } else if code == 255 {
        Failure::Other(reason(&stderr))
    } else {
        Failure::Other(format!(
            "the account's shell did nothing (exit code {code}): {}",
            reason(&stderr)
        ))
    })
}

/// What OpenSSH says where nobody answers, or no sshd.
const UNREACHABLE: [&str; 12] = [
    "Connection refused",
    "Connection timed out",
    "Operation timed out",
    "No route to host",
    "Network is unreachable",
    "Could not resolve hostname",
    "Connection reset",
    "Connection closed",
    "Host is down",
    "banner exchange",
    "kex_exchange_identification",
    "not responding",
];

/// The last line says it best.
fn reason(stderr: &str) -> String {
    let line = last_lines(stderr, 1).pop();
    let line = line.unwrap_or_else(|| "ssh says nothing".to_owned());
    clean(line.trim_start_matches("ssh: "), 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(stderr: &str) -> Failure {
        judge(255, b"", stderr.as_bytes()).unwrap_err()
    }

    #[test]
    fn what_ssh_says_is_told_apart() {
        let changed = "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS \
                       CHANGED!     @\nHost key verification failed.\n";
        assert_eq!(failure(changed), Failure::HostKeyChanged);
        let unknown = "No ED25519 host key is known for n and you have \
                       requested strict checking.\r\n\
                       Host key verification failed.\r\n";
        assert_eq!(failure(unknown), Failure::HostKeyUnknown);
        let refused = "pi@10.0.0.1: Permission denied (publickey).\r\n";
        let reason = "pi@10.0.0.1: Permission denied (publickey).".to_owned();
        assert_eq!(failure(refused), Failure::Refused(reason));
        let gone = "ssh: connect to host x port 22: No route to host\r\n";
        let reason = "connect to host x port 22: No route to host".to_owned();
        assert_eq!(failure(gone), Failure::Unreachable(reason));
        let odd = "f: line 3: Bad configuration option: x\n";
        assert!(matches!(failure(odd), Failure::Other(_)));
        assert!(matches!(failure(""), Failure::Other(_)));
    }

    #[test]
    fn what_comes_after_the_login_is_the_answer() {
        let out = b"motd\npiflash: logged in\n{}\n";
        let stderr = b"Permission denied\n";
        let output = judge(1, out, stderr).unwrap();
        assert_eq!((output.code, &*output.stdout), (1, "{}\n"));
        let broken = judge(255, out, b"client_loop: send disconnect\n");
        assert!(matches!(broken, Err(Failure::Lost(_))), "{broken:?}");
        let nologin = judge(1, b"This account is not available.\n", b"");
        assert!(matches!(nologin, Err(Failure::Other(_))), "{nologin:?}");
    }

    #[test]
    fn words_are_quoted_for_the_shell() {
        for (word, shown) in [
            ("get", "get"),
            ("--timeout=30s", "--timeout=30s"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's;$(x)", r"'it'\''s;$(x)'"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
