//! What kubeadm looks at before it changes anything.

use crate::{
    Result,
    kubeadm::{ETCD, KUBERNETES, PKI},
    tls::{Pair, read},
};
use std::{fs, net::TcpListener, os::unix::net::UnixStream, path::Path};

/// What kubeadm refuses before it changes anything.
pub fn preflight(socket: &str, ports: &[u16]) -> Result<()> {
    crate::node::check_kernel()?;
    let fatal = |what: &str| Err(format!("[ERROR {what}]").into());
    if read(Path::new("/proc/swaps"))?.lines().count() > 1 {
        return fatal("Swap]: running with swap on is not supported");
    }
    for (name, file) in [
        ("ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("bridge-nf", "/proc/sys/net/bridge/bridge-nf-call-iptables"),
    ] {
        if fs::read_to_string(file).is_ok_and(|text| text.trim() == "1") {
            continue;
        }
        return fatal(&format!("FileContent--{name}]: {file} is not 1"));
    }
    for port in ports {
        if TcpListener::bind(("0.0.0.0", *port)).is_err() {
            return fatal(&format!("Port-{port}]: Port {port} is in use"));
        }
    }
    let path = socket.strip_prefix("unix://").ok_or("criSocket: no unix://")?;
    if let Err(error) = UnixStream::connect(path) {
        return fatal(&format!(
            "CRI]: container runtime is not running: {path}: {error}"
        ));
    }
    for file in [
        format!("{KUBERNETES}/manifests/kube-apiserver.yaml"),
        format!("{KUBERNETES}/kubelet.conf"),
        format!("{KUBERNETES}/bootstrap-kubelet.conf"),
    ] {
        if Path::new(&file).exists() {
            let name = file.replace('/', "-");
            return fatal(&format!(
                "FileAvailable-{name}]: {file} already exists"
            ));
        }
    }
    if fs::read_dir(ETCD).is_ok_and(|mut all| all.next().is_some()) {
        return fatal(
            "DirAvailable--var-lib-etcd]: /var/lib/etcd is not empty",
        );
    }
    Ok(())
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
