//! What kubeadm looks at before it changes anything.

use crate::{
    Result,
    kubeadm::{ETCD, KUBERNETES, PKI},
    tls::{Pair, read},
};
use std::{fs, net::TcpListener, os::unix::net::UnixStream, path::Path};

/// What kubeadm refuses before it changes anything: all of it, before a last
/// line that is always the same (since 1.34).
pub fn preflight(socket: &str, ports: &[u16], is_worker: bool) -> Result<()> {
    let mut errors = Vec::new();
    if let Err(error) = crate::node::check_kernel() {
        // In colours, whoever reads it.
        eprintln!(
            "[preflight] The system verification failed. Printing the output \
             from the verification:\n\
             \x1b[0;37mCGROUPS\x1b[0m: \x1b[0;31mmissing\x1b[0m"
        );
        errors.push(format!("SystemVerification]: {error}"));
    }
    if read(Path::new("/proc/swaps"))?.lines().count() > 1 {
        errors.push("Swap]: running with swap on is not supported".into());
    }
    for (name, file) in [
        ("ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("bridge-nf", "/proc/sys/net/bridge/bridge-nf-call-iptables"),
    ] {
        if !fs::read_to_string(file).is_ok_and(|text| text.trim() == "1") {
            errors.push(format!("FileContent--{name}]: {file} is not 1"));
        }
    }
    for port in ports {
        if TcpListener::bind(("0.0.0.0", *port)).is_err() {
            errors.push(format!("Port-{port}]: Port {port} is in use"));
        }
    }
    let path = socket.strip_prefix("unix://").ok_or("criSocket: no unix://")?;
    if let Err(error) = UnixStream::connect(path) {
        errors.push(format!(
            "CRI]: container runtime is not running: {path}: {error}"
        ));
    }
    let mut absent = vec![
        format!("{KUBERNETES}/manifests/kube-apiserver.yaml"),
        format!("{KUBERNETES}/kubelet.conf"),
        format!("{KUBERNETES}/bootstrap-kubelet.conf"),
    ];
    if is_worker {
        absent.push(format!("{PKI}/ca.crt"));
    }
    for file in absent.iter().filter(|file| Path::new(file).exists()) {
        let name = file.replace('/', "-");
        errors.push(format!("FileAvailable-{name}]: {file} already exists"));
    }
    if fs::read_dir(ETCD).is_ok_and(|mut all| all.next().is_some()) {
        errors.push(
            "DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty".into(),
        );
    }
    if errors.is_empty() {
        return Ok(());
    }
    eprintln!("[preflight] Some fatal errors occurred:");
    for error in errors {
        eprintln!("\t[ERROR {error}");
    }
    eprintln!(
        "[preflight] If you know what you are doing, you can make a check \
         non-fatal with `--ignore-preflight-errors=...`"
    );
    Err("error execution phase preflight: preflight checks failed".into())
}

/// The authorities, all of them laid down before.
pub fn authorities() -> Result<Pair> {
    let pair = |name: &str| {
        let key = Path::new(PKI).join(format!("{name}.key"));
        crate::config::closed(&key)?;
        Pair::authority(&Path::new(PKI).join(format!("{name}.crt")), &key)
    };
    pair("front-proxy-ca")?;
    pair("etcd/ca")?;
    let sa = (
        read(&Path::new(PKI).join("sa.key"))?,
        read(&Path::new(PKI).join("sa.pub"))?,
    );
    if !sa.0.contains("PRIVATE KEY") || !sa.1.contains("PUBLIC KEY") {
        return Err("sa.key or sa.pub is no key".into());
    }
    pair("ca")
}
