//! The `wifi` mapping.

use super::{
    our_groups::VAULT_HINT,
    problem::{Problem, quoted},
    records::Record,
    shapes::Reader,
    tree::{Kind, Tree},
    value::boolean,
    variables::Variable,
};

/// A wireless network.
#[derive(Clone, PartialEq, Eq)]
pub struct Wifi {
    /// The network's name, 1 to 32 bytes.
    pub ssid: String,
    /// Its key.
    pub key: WifiKey,
    /// The country whose radio rules hold: ISO 3166-1, two capital letters.
    pub country: String,
    /// The network does not announce its name.
    pub hidden: bool,
}

/// Where the key of a wireless network comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum WifiKey {
    /// A passphrase of 8 to 63 ASCII characters, or a key of 64 hexadecimal
    /// digits.
    Psk(String),
    /// The environment variable of the builder that holds it.
    Env(String),
}

impl WifiKey {
    /// What a key must be like, to follow `must`.
    pub const EXPECTED: &'static str =
        "have 8 to 63 ASCII characters, or be 64 hexadecimal digits";

    /// Takes a passphrase or a key (IEEE 802.11, J.4); none if it is
    /// neither.
    #[must_use]
    pub fn psk(text: &str) -> Option<Self> {
        let phrase = (8..=63).contains(&text.len())
            && text.bytes().all(|b| (32..=126).contains(&b));
        let key =
            text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        (phrase || key).then(|| Self::Psk(text.to_owned()))
    }
}

impl std::fmt::Debug for Wifi {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wifi")
            .field("ssid", &self.ssid)
            .field("key", &self.key)
            .field("country", &self.country)
            .field("hidden", &self.hidden)
            .finish()
    }
}

impl std::fmt::Debug for WifiKey {
    /// Leaves the key out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Psk(_) => f.write_str("Psk(***)"),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
        }
    }
}

impl Reader<'_> {
    /// Reads `wifi`. The key is never repeated in a message.
    pub(super) fn wifi(&mut self, v: &Variable, tree: &Tree) -> Option<Wifi> {
        let record = self.record(
            v,
            tree,
            &["ssid", "psk", "psk_env", "country", "hidden"],
        )?;
        let ssid = self.field(v, &record, "ssid", tree);
        if let (Some(ssid), Some(tree)) = (&ssid, record.get("ssid"))
            && !(1..=32).contains(&ssid.len())
        {
            self.complain(v, tree, "ssid", "must have 1 to 32 bytes");
        }
        let country = self.field(v, &record, "country", tree);
        if let (Some(country), Some(tree)) = (&country, record.get("country")) {
            self.country(v, country, tree);
        }
        let key = self.wifi_key(v, tree, &record);
        let hidden = match record.get("hidden") {
            None => Some(false),
            Some(tree) => {
                let hidden = tree.text().and_then(boolean);
                if hidden.is_none() {
                    self.complain(v, tree, "hidden", "must be yes or no");
                }
                hidden
            }
        };
        Some(Wifi {
            ssid: ssid?,
            key: key?,
            country: country?,
            hidden: hidden?,
        })
    }

    fn country(&mut self, v: &Variable, country: &str, tree: &Tree) {
        if country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase())
        {
            return;
        }
        let problem = Problem::at(
            &tree.at,
            format!(
                "{} is not a country for {}: it must be two capital letters",
                quoted(country),
                quoted(v.name)
            ),
        );
        let upper = country.to_ascii_uppercase();
        self.problems.push(
            if country.len() == 2
                && upper.bytes().all(|b| b.is_ascii_uppercase())
            {
                problem.hint(format!("did you mean {}?", quoted(&upper)))
            } else {
                problem.hint("as in ISO 3166-1, for example DE")
            },
        );
    }

    fn wifi_key(
        &mut self,
        v: &Variable,
        tree: &Tree,
        record: &Record<'_>,
    ) -> Option<WifiKey> {
        match (record.get("psk"), record.get("psk_env")) {
            (Some(_), Some(env)) => {
                self.complain(v, env, "psk_env", "cannot stand beside `psk`");
                None
            }
            (Some(tree), None) => {
                if matches!(tree.kind, Kind::Vault) {
                    self.problems.push(
                        Problem::at(&tree.at, "`psk` of `wifi` is encrypted")
                            .hint(VAULT_HINT),
                    );
                    return None;
                }
                let psk = self.line(v, "psk", tree)?;
                let key = WifiKey::psk(&psk);
                if key.is_none() {
                    let must = format!("must {}", WifiKey::EXPECTED);
                    self.complain(v, tree, "psk", &must);
                }
                key
            }
            (None, Some(tree)) => {
                let name = self.line(v, "psk_env", tree)?;
                let good = !name.is_empty()
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                    && name
                        .chars()
                        .all(|c| c.is_ascii_alphanumeric() || c == '_');
                if !good {
                    // Perhaps the key itself: not repeated.
                    self.complain(
                        v,
                        tree,
                        "psk_env",
                        "must be the name of an environment variable",
                    );
                    return None;
                }
                Some(WifiKey::Env(name))
            }
            (None, None) => {
                self.problems.push(
                    Problem::at(&tree.at, "`wifi` needs `psk` or `psk_env`")
                        .hint(
                            "psk_env names an environment variable that \
                             holds the key",
                        ),
                );
                None
            }
        }
    }
}
