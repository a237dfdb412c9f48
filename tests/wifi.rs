//! Wireless networks, as the programs that join them read what a plan writes:
//! NetworkManager, netplan and wpa_supplicant, with names and keys that would
//! like to be something else.

use crate::support::{
    image::Case,
    memory::Body,
    oracle::run_with,
    plan::{content, plan},
};
use piflash::plan::{Action, Part, Plan};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
};

/// Names and passphrases. The key of 64 digits is one already.
const NETWORKS: &[(&str, &str)] = &[
    ("home", "correct horse"),
    (" Büro ☕ ", "  two spaces  "),
    ("a\"b\\c", "quote\" and \\ and ' here"),
    ("#;=[x]", "#;=[wifi]%$\\s\\n"),
    ("12;34;", "12;34;56;78;"),
    ("1234", "12345678"),
    (": {a}, *&!|>'%@`", ": {a}, *&!|>'%@`"),
    ("ssid=x", "psk=\"# not a comment"),
    ("yes", "0x1234567890"),
    ("raw", "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789"),
];

fn yaml(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn with_wifi(case: &Case, ssid: &str, psk: &str) -> Plan {
    let (ssid, psk) = (yaml(ssid), yaml(psk));
    let vars = format!(
        "      wifi: {{ssid: {ssid}, psk: {psk}, country: DE, hidden: yes}}\n"
    );
    plan(case, &vars).unwrap_or_else(|e| panic!("{e:?}"))
}

/// The file that a plan writes at `path`, which is for root alone.
fn secret(plan: &Plan, path: &str) -> String {
    let edit = plan
        .edits
        .iter()
        .find(|edit| edit.path == path)
        .unwrap_or_else(|| panic!("{path}: not in {}", plan.text()));
    let Action::Write { content, access } = &edit.action else {
        panic!("{path} is not written")
    };
    assert_eq!((access.mode, access.uid, access.gid), (0o600, 0, 0));
    assert!(edit.secret, "{path} would be shown");
    content.as_text().unwrap().to_owned()
}

/// What NetworkManager's own writer makes of a keyfile after its own reader.
fn by_nmcli(keyfile: &str) -> Vec<String> {
    let args = ["--offline", "connection", "modify", "connection.id", "x"];
    let output = run_with("nmcli", &args, keyfile.as_bytes());
    wireless_lines(&output.unwrap_or_else(|e| panic!("{e:?}\n{keyfile}")))
}

fn wireless_lines(keyfile: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(keyfile)
        .lines()
        .filter(|line| {
            ["ssid=", "psk=", "hidden=", "key-mgmt=", "type="]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .map(str::to_owned)
        .collect()
}

/// What NetworkManager writes when it is told the network in words.
fn told_to_nmcli(ssid: &str, psk: &str) -> Vec<String> {
    let args = [
        "--offline",
        "connection",
        "add",
        "type",
        "wifi",
        "con-name",
        "x",
        "ifname",
        "wlan0",
        "ssid",
        ssid,
        "802-11-wireless.hidden",
        "yes",
        "wifi-sec.key-mgmt",
        "wpa-psk",
        "wifi-sec.psk",
        psk,
    ];
    wireless_lines(&run_with("nmcli", &args, b"").unwrap())
}

#[test]
fn networkmanager_reads_what_was_meant() {
    let case = Case::load("bookworm");
    let path = "/etc/NetworkManager/system-connections/\
                piflash-wlan0.nmconnection";
    for (ssid, psk) in NETWORKS {
        let plan = with_wifi(&case, ssid, psk);
        let keyfile = secret(&plan, path);
        assert_eq!(by_nmcli(&keyfile), told_to_nmcli(ssid, psk), "{keyfile}");
    }
}

/// The name and the key that wpa_supplicant reads out of a file, in
/// hexadecimal digits. It then fails, for want of the interface.
fn by_wpa_supplicant(conf: &Path) -> (String, String) {
    let output = Command::new("wpa_supplicant")
        .args(["-dd", "-K", "-D", "none", "-i", "piflash0", "-c"])
        .arg(conf)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| {
            panic!("wpa_supplicant: {e}: install Debian's wpasupplicant")
        });
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!text.contains("Line "), "{text}");
    assert!(text.contains("country='DE'"), "{text}");
    assert!(text.contains("scan_ssid=1"), "{text}");
    (dumped(&text, "ssid - "), dumped(&text, "PSK"))
}

/// The bytes of a dump that begins with `title`, on its own line or with
/// their characters beside them on those that follow.
fn dumped(text: &str, title: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.starts_with(title));
    let head = lines.next().unwrap_or_else(|| panic!("{title}: {text}"));
    if let Some((_, bytes)) = head.split_once("): ") {
        return bytes.replace(' ', "");
    }
    lines
        .take_while(|line| line.starts_with("     "))
        .map(|line| line.get(5..52).unwrap_or(&line[5..]).replace(' ', ""))
        .collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The key that wpa_passphrase makes of a passphrase; a key as it is.
fn key(ssid: &str, psk: &str) -> String {
    if psk.len() == 64 {
        return psk.to_lowercase();
    }
    let output = run_with("wpa_passphrase", &[ssid, psk], b"").unwrap();
    let text = String::from_utf8_lossy(&output).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("\tpsk="));
    line.unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[test]
fn wpa_supplicant_reads_what_was_meant() {
    let case = Case::load("bullseye");
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("wpa_supplicant.conf");
    for (ssid, psk) in NETWORKS {
        let plan = with_wifi(&case, ssid, psk);
        let text = secret(&plan, "/etc/wpa_supplicant/wpa_supplicant.conf");
        fs::write(&conf, &text).unwrap();
        let meant = (digits(ssid.as_bytes()), key(ssid, psk));
        assert_eq!(by_wpa_supplicant(&conf), meant, "{text}");
    }
}

/// Runs `netplan generate` on a file; returns the root it wrote to.
fn generated(yaml: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/netplan");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("60-piflash.yaml");
    fs::write(&path, yaml).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let dir = root.path().to_str().unwrap();
    let output = Command::new("netplan")
        .args(["generate", "--root-dir", dir])
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|e| panic!("netplan: {e}: install netplan.io"));
    assert!(output.status.success(), "{yaml}{output:?}");
    root
}

const NETPLAN: &str = "/etc/netplan/60-piflash.yaml";

#[test]
fn netplan_tells_wpa_supplicant_what_was_meant() {
    let case = Case::load("ubuntu-22.04");
    for (ssid, psk) in NETWORKS {
        let text = secret(&with_wifi(&case, ssid, psk), NETPLAN);
        let root = generated(&text);
        let conf = root.path().join("run/netplan/wpa-wlan0.conf");
        let (name, read) = by_wpa_supplicant(&conf);
        assert_eq!(name, digits(ssid.as_bytes()), "{text}");
        // It passes a passphrase on, where that is safe.
        let meant = [digits(psk.as_bytes()), key(ssid, psk)];
        assert!(meant.contains(&read), "{read}: {text}");
        let network = root.path().join("run/systemd/network");
        assert!(network.join("10-netplan-wlan0.network").exists());
        assert!(network.join("10-netplan-eth0.network").exists());
    }
}

/// As on Ubuntu's desktop.
fn with_networkmanager() -> Case {
    let mut case = Case::load("ubuntu-22.04");
    let file = Body::File(b"[Unit]\n".to_vec());
    let unit = "/usr/lib/systemd/system/NetworkManager.service";
    case.root.put(unit, file, 0o644);
    let wants = "/etc/systemd/system/multi-user.target.wants";
    case.root.link(&format!("{wants}/NetworkManager.service"), unit);
    let yaml = b"network:\n  renderer: NetworkManager\n".to_vec();
    case.root.put("/etc/netplan/01-manager.yaml", Body::File(yaml), 0o600);
    case
}

#[test]
fn netplan_tells_networkmanager_what_was_meant() {
    let case = with_networkmanager();
    for (ssid, psk) in NETWORKS.iter().filter(|(ssid, _)| !ssid.contains(';')) {
        let text = secret(&with_wifi(&case, ssid, psk), NETPLAN);
        assert!(text.contains("renderer: NetworkManager"), "{text}");
        let root = generated(&text);
        let folder = root.path().join("run/NetworkManager/system-connections");
        let keyfile = fs::read_dir(folder)
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .find(|keyfile| keyfile.contains("type=wifi"))
            .unwrap_or_else(|| panic!("{text}"));
        let read = by_nmcli(&keyfile);
        let meant = [psk.to_string(), key(ssid, psk)]
            .map(|psk| told_to_nmcli(ssid, &psk));
        assert!(meant.contains(&read), "{read:?}: {keyfile}");
    }
}

#[test]
fn a_name_that_netplan_would_spoil_is_refused() {
    let networkd = Case::load("ubuntu-22.04");
    for (case, ssid) in [(networkd, "a\"#b"), (with_networkmanager(), "1;2;")] {
        let vars = format!(
            "      wifi: {{ssid: '{ssid}', psk: 12345678, country: DE}}\n"
        );
        let error = plan(&case, &vars).unwrap_err().to_string();
        assert!(error.contains("netplan cannot name"), "{error}");
    }
}

#[test]
fn without_wpa_supplicant_there_is_no_plan() {
    let vars = "      wifi: {ssid: home, psk: 12345678, country: DE}\n";
    let error = plan(&Case::load("debian"), vars).unwrap_err().to_string();
    assert!(error.contains("wpasupplicant"), "{error}");
}

/// Debian's other two: interfaces(5) and systemd.network(5).
#[test]
fn systems_without_a_manager_start_wpa_supplicant() {
    let mut case = Case::load("debian");
    let program = Body::File(Vec::new());
    case.root.put("/usr/sbin/wpa_supplicant", program, 0o755);
    let conf = "/etc/wpa_supplicant/wpa_supplicant.conf";
    let plan = with_wifi(&case, "home", "12345678");
    secret(&plan, conf);
    let text = content(&plan, "/etc/network/interfaces.d/wlan0");
    assert_eq!(
        text,
        format!("auto wlan0\niface wlan0 inet dhcp\n    wpa-conf {conf}\n")
    );

    let wants = "/etc/systemd/system/multi-user.target.wants";
    case.root.nodes.remove(&format!("{wants}/networking.service"));
    case.root.link(
        &format!("{wants}/systemd-networkd.service"),
        "/lib/systemd/system/systemd-networkd.service",
    );
    let plan = with_wifi(&case, "home", "12345678");
    secret(&plan, "/etc/wpa_supplicant/wpa_supplicant-wlan0.conf");
    let text = content(&plan, "/etc/systemd/network/10-piflash-wlan0.network");
    assert_eq!(text, "[Match]\nName=wlan0\n\n[Network]\nDHCP=yes\n");
    let path = format!("{wants}/wpa_supplicant@wlan0.service");
    assert!(plan.edits.iter().any(|edit| edit.path == path));
}

/// Neither as text nor as JSON does a plan show the key, and the FAT, which
/// anybody can read, does not get it.
#[test]
fn the_key_is_shown_to_nobody() {
    for name in ["bullseye", "bookworm", "trixie", "ubuntu-22.04"] {
        let plan = with_wifi(&Case::load(name), "home", "correct horse");
        let json = plan.json().to_string();
        for shown in [plan.text(), json] {
            assert!(!shown.contains("correct horse"), "{name}: {shown}");
            assert!(!shown.contains(&key("home", "correct horse")), "{name}");
        }
        for edit in plan.edits.iter().filter(|edit| edit.part == Part::Boot) {
            assert!(!format!("{edit:?}").contains("horse"), "{name}");
        }
    }
}
