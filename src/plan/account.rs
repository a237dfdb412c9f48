//! The account, added to the image's own user database as `adduser` would:
//! passwd(5), shadow(5), group(5), gshadow(5), subuid(5).

use std::collections::BTreeSet;

use serde::Serialize;

use super::table::Table;

/// Groups that give the first user of Raspberry Pi OS and Ubuntu its rights;
/// those that the image has are used.
const GROUPS: &[&str] = &[
    "adm", "dialout", "cdrom", "audio", "users", "sudo", "video", "games",
    "plugdev", "input", "gpio", "spi", "i2c", "netdev", "render", "lpadmin",
];

const SUBORDINATE_IDS: u32 = 65_536;

/// Debian gives people the numbers from here (Debian Policy 9.2.2) ...
const FIRST_UID: u32 = 1000;
/// ... up to, and without, this one.
const LAST_UID: u32 = 60_000;

/// The user database of an image, as text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Database<'t> {
    /// `/etc/passwd`.
    pub passwd: &'t str,
    /// `/etc/shadow`.
    pub shadow: &'t str,
    /// `/etc/group`.
    pub group: &'t str,
    /// `/etc/gshadow`, empty where there is none.
    pub gshadow: &'t str,
    /// `/etc/subuid`, empty where there is none.
    pub subuid: &'t str,
    /// `/etc/subgid`, empty where there is none.
    pub subgid: &'t str,
}

/// The database with the account in it, and what became of the account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Account {
    passwd: String,
    shadow: String,
    group: String,
    gshadow: String,
    subuid: String,
    subgid: String,
    uid: u32,
    gid: u32,
    shadow_gid: u32,
    home: String,
    /// Its login name.
    #[serde(skip)]
    pub(super) name: String,
}

impl Account {
    /// Returns uid and primary gid of a user, by name or number.
    pub(super) fn user(&self, user: &str) -> Option<(u32, u32)> {
        let table = Table::parse(&self.passwd);
        if let Some(row) = table.find(user).or_else(|| table.find_by(2, user)) {
            return Some((
                row.get(2)?.parse().ok()?,
                row.get(3)?.parse().ok()?,
            ));
        }
        // A number without a user is its own group.
        user.parse().ok().map(|uid| (uid, uid))
    }

    /// Returns the gid of a group, by name or number.
    pub(super) fn group(&self, group: &str) -> Option<u32> {
        let table = Table::parse(&self.group);
        match table.find(group) {
            Some(row) => row.get(2)?.parse().ok(),
            None => group.parse().ok(),
        }
    }
}

/// Why the account cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// useradd(8) would refuse the name.
    #[error(
        "`{0}` is not an account name: lower-case letters, digits, `_` and \
         `-`, at most 32, beginning with a letter or `_`"
    )]
    Name(String),
    /// The name belongs to a daemon.
    #[error(
        "`{name}` is a system account of this image (uid {uid}); choose \
         another `ansible_user`"
    )]
    System {
        /// The account.
        name: String,
        /// Its number.
        uid: u32,
    },
    /// The name belongs to a group of daemons or of rights.
    #[error(
        "`{name}` is a system group of this image (gid {gid}); choose \
         another `ansible_user`"
    )]
    SystemGroup {
        /// The group.
        name: String,
        /// Its number.
        gid: u32,
    },
    /// No number is left.
    #[error("no free uid between 1000 and 59999")]
    NoFreeUid,
    /// A line of the image's own file makes no sense.
    #[error("the image's /etc/{file} has a bad line for `{name}`")]
    BadLine {
        /// As `passwd`.
        file: &'static str,
        /// The account of the line.
        name: String,
    },
}

/// Adds account `name` to `database`, or unlocks it there for login by key.
/// `day` is today, in days since the epoch. Other accounts of people keep
/// everything but their password: stock images have well-known ones.
pub(super) fn add(
    database: Database<'_>,
    name: &str,
    password_hash: Option<&str>,
    day: i64,
) -> Result<Account, AccountError> {
    check_name(name)?;
    let mut passwd = Table::parse(database.passwd);
    let mut group = Table::parse(database.group);
    let mut shadow = Table::parse(database.shadow);
    let mut gshadow = Table::parse(database.gshadow);

    let user = match passwd.find(name) {
        Some(row) => User::of(row, name)?,
        None => User::new(name, &passwd, &group)?,
    };
    // `nobody` and what systemd gives to services are daemons' as well.
    if matches!(user.uid, 1..FIRST_UID | LAST_UID..=0xffff) {
        let (name, uid) = (name.to_owned(), user.uid);
        return Err(AccountError::System { name, uid });
    }

    if passwd.find(name).is_none() {
        passwd.push(&[
            name,
            "x",
            &user.uid.to_string(),
            &user.gid.to_string(),
            ",,,",
            &user.home,
            "/bin/bash",
        ]);
        if group.find_by(2, &user.gid.to_string()).is_none() {
            group.push(&[name, "x", &user.gid.to_string(), ""]);
            if !gshadow.is_empty() {
                gshadow.push(&[name, "!", "", ""]);
            }
        }
    } else {
        passwd.set(name, 1, "x");
        if user.shell.ends_with("/nologin") || user.shell.ends_with("/false") {
            passwd.set(name, 6, "/bin/bash");
        }
    }

    if user.uid != 0 {
        for wanted in GROUPS {
            group.add_member(wanted, name);
            gshadow.add_member(wanted, name);
        }
    }

    // `*` is no password at all; `!` would also mean "locked", which sshd
    // refuses for keys too where PAM is off.
    let day = day.max(1).to_string();
    if shadow.find(name).is_none() {
        shadow.push(&[name, "*", &day, "0", "99999", "7", "", "", ""]);
    }
    shadow.set(name, 1, password_hash.unwrap_or("*"));
    // 0 would ask for a new password at login, which no key login survives.
    shadow.set(name, 2, &day);
    shadow.set(name, 7, "");
    for other in people(&passwd).filter(|other| other != name) {
        let password = shadow.find(&other).and_then(|row| row.get(1).cloned());
        if let Some(password) = password
            && !password.starts_with(['!', '*'])
        {
            shadow.set(&other, 1, &format!("!{password}"));
        }
    }

    let shadow_gid = group
        .find("shadow")
        .and_then(|row| row.get(2)?.parse().ok())
        .unwrap_or(0);
    Ok(Account {
        passwd: passwd.text(),
        shadow: shadow.text(),
        group: group.text(),
        gshadow: gshadow.text(),
        subuid: subordinate(database.subuid, name),
        subgid: subordinate(database.subgid, name),
        uid: user.uid,
        gid: user.gid,
        shadow_gid,
        home: user.home,
        name: name.to_owned(),
    })
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let rest = name.chars().all(|c| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c)
    });
    if first && rest && name.len() <= 32 {
        Ok(())
    } else {
        Err(AccountError::Name(name.to_owned()))
    }
}

struct User {
    uid: u32,
    gid: u32,
    home: String,
    shell: String,
}

impl User {
    fn of(row: &[String], name: &str) -> Result<Self, AccountError> {
        let parse = || {
            let [_, _, uid, gid, _, home, shell] = row else { return None };
            Some(Self {
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                home: home.clone(),
                shell: shell.clone(),
            })
        };
        parse().ok_or_else(|| AccountError::BadLine {
            file: "passwd",
            name: name.to_owned(),
        })
    }

    /// A new one, with a number that is free as user and as group.
    fn new(
        name: &str,
        passwd: &Table,
        group: &Table,
    ) -> Result<Self, AccountError> {
        let taken: BTreeSet<&str> =
            passwd.column(2).chain(group.column(2)).collect();
        let free = (FIRST_UID..LAST_UID)
            .find(|uid| !taken.contains(uid.to_string().as_str()))
            .ok_or(AccountError::NoFreeUid)?;
        // A group of that name may be there already. One of the system's,
        // as `shadow`, would give its rights away; adduser refuses it too.
        let gid = group
            .find(name)
            .and_then(|row| row.get(2)?.parse().ok())
            .unwrap_or(free);
        if gid < FIRST_UID {
            let name = name.to_owned();
            return Err(AccountError::SystemGroup { name, gid });
        }
        Ok(Self {
            uid: free,
            gid,
            home: format!("/home/{name}"),
            shell: "/bin/bash".to_owned(),
        })
    }
}

fn people(passwd: &Table) -> impl Iterator<Item = String> {
    passwd.rows.iter().filter_map(|row| {
        let uid: u32 = row.get(2)?.parse().ok()?;
        (FIRST_UID..LAST_UID).contains(&uid).then(|| row.first().cloned())?
    })
}

/// Adds a range of 65,536 ids behind the last one given out, as useradd(8)
/// does; a file that is not there stays away.
fn subordinate(text: &str, name: &str) -> String {
    let mut table = Table::parse(text);
    if table.is_empty() || table.find(name).is_some() {
        return text.to_owned();
    }
    let next = table
        .rows
        .iter()
        .filter_map(|row| {
            let start: u32 = row.get(1)?.parse().ok()?;
            start.checked_add(row.get(2)?.parse().ok()?)
        })
        .max()
        .unwrap_or(100_000);
    table.push(&[name, &next.to_string(), &SUBORDINATE_IDS.to_string()]);
    table.text()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: Database<'_> = Database {
        passwd: "root:x:0:0:root:/root:/bin/bash\n\
                 daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                 pi:x:1000:1000:,,,:/home/pi:/usr/sbin/nologin\n",
        shadow: "root:*:20000:0:99999:7:::\n\
                 pi:$6$known:0:0:99999:7::19000:\n",
        group: "root:x:0:\nadm:x:4:\nsudo:x:27:syslog\nshadow:x:42:\n\
                pi:x:1000:\n",
        gshadow: "root:*::\nadm:*::\nsudo:*::syslog\nshadow:*::\npi:!::\n",
        subuid: "pi:100000:65536\n",
        subgid: "",
    };

    #[test]
    fn the_stock_account_is_unlocked_for_keys() {
        let account = add(STOCK, "pi", None, 20_700).unwrap();
        assert!(
            account.passwd.contains("pi:x:1000:1000:,,,:/home/pi:/bin/bash\n")
        );
        assert!(account.shadow.contains("pi:*:20700:0:99999:7:::\n"));
        assert!(account.group.contains("sudo:x:27:syslog,pi\n"));
        assert!(account.gshadow.contains("adm:*::pi\n"));
        assert_eq!(account.subuid, STOCK.subuid);
        assert_eq!(account.subgid, "");
        assert_eq!((account.uid, account.gid), (1000, 1000));
        assert_eq!(account.shadow_gid, 42);
    }

    #[test]
    fn a_new_account_locks_the_password_of_the_stock_one() {
        let account = add(STOCK, "ada", Some("$y$hash"), 20_700).unwrap();
        assert!(
            account
                .passwd
                .ends_with("ada:x:1001:1001:,,,:/home/ada:/bin/bash\n")
        );
        assert!(account.shadow.contains("pi:!$6$known:"));
        assert!(account.shadow.contains("ada:$y$hash:20700:0:99999:7:::\n"));
        assert!(account.group.ends_with("ada:x:1001:\n"));
        assert!(account.gshadow.ends_with("ada:!::\n"));
        assert_eq!(account.subuid, "pi:100000:65536\nada:165536:65536\n");
    }

    #[test]
    fn adding_twice_changes_nothing_more() {
        let once = add(STOCK, "ada", None, 20_700).unwrap();
        let again = Database {
            passwd: &once.passwd,
            shadow: &once.shadow,
            group: &once.group,
            gshadow: &once.gshadow,
            subuid: &once.subuid,
            subgid: &once.subgid,
        };
        assert_eq!(add(again, "ada", None, 20_700).unwrap(), once);
    }

    #[test]
    fn root_needs_no_groups() {
        let account = add(STOCK, "root", None, 20_700).unwrap();
        assert_eq!((account.uid, account.home.as_str()), (0, "/root"));
        assert_eq!(account.group, STOCK.group);
    }

    #[test]
    fn names_that_would_break_the_files_are_refused() {
        for name in ["", "a:b", "a\nb", "Ada", "1a", "-a"] {
            let error = add(STOCK, name, None, 1).unwrap_err();
            assert_eq!(error, AccountError::Name(name.to_owned()));
        }
    }

    #[test]
    fn names_of_the_system_are_refused() {
        let passwd = format!(
            "{}nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
            STOCK.passwd
        );
        let database = Database { passwd: &passwd, ..STOCK };
        for (name, uid) in [("daemon", 1), ("nobody", 65_534)] {
            let name = name.to_owned();
            let error = add(database, &name, None, 1).unwrap_err();
            assert_eq!(error, AccountError::System { name, uid });
        }
        for (name, gid) in [("shadow", 42), ("sudo", 27)] {
            let name = name.to_owned();
            let error = add(database, &name, None, 1).unwrap_err();
            assert_eq!(error, AccountError::SystemGroup { name, gid });
        }
    }

    #[test]
    fn odd_files_keep_their_lines() {
        // NIS, CRLF, no last newline.
        let database = Database {
            passwd: "root:x:0:0:root:/root:/bin/bash\r\n+::::::",
            shadow: "root:*:20000:0:99999:7:::",
            group: "root:x:0:\n+:::",
            ..Database::default()
        };
        let account = add(database, "ada", None, 9).unwrap();
        assert_eq!(
            account.passwd,
            "root:x:0:0:root:/root:/bin/bash\n+::::::\n\
             ada:x:1000:1000:,,,:/home/ada:/bin/bash\n"
        );
        assert_eq!(
            account.shadow,
            "root:*:20000:0:99999:7:::\nada:*:9:0:99999:7:::\n"
        );
        assert_eq!(account.group, "root:x:0:\n+:::\nada:x:1000:\n");
    }
}
