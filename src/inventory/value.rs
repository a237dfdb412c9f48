//! Values as YAML 1.1 and so Ansible understands them.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::tree::{Kind, Tree};

/// A variable's value. Serialises as the plain value, so that templates and
/// configuration files can use it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// Also `yes`, `no`, `on` and `off`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text; may hold a Jinja expression.
    String(String),
    /// A list.
    List(Vec<Self>),
    /// A mapping; keys are text.
    Map(BTreeMap<String, Self>),
    /// Encrypted by ansible-vault: piflash cannot read it. Serialises as null.
    Vault,
}

impl Value {
    /// Gives the text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Gives the boolean: a boolean, or text like `yes`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) => boolean(text),
            Self::Int(0) => Some(false),
            Self::Int(1) => Some(true),
            _ => None,
        }
    }

    /// Says whether text somewhere in the value is a Jinja template.
    pub fn is_template(&self) -> bool {
        match self {
            Self::String(text) => text.contains("{{") || text.contains("{%"),
            Self::List(items) => items.iter().any(Self::is_template),
            Self::Map(map) => map.values().any(Self::is_template),
            _ => false,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null | Self::Vault => to.serialize_unit(),
            Self::Bool(value) => value.serialize(to),
            Self::Int(value) => value.serialize(to),
            Self::Float(value) => value.serialize(to),
            Self::String(value) => value.serialize(to),
            Self::List(value) => value.serialize(to),
            Self::Map(value) => value.serialize(to),
        }
    }
}

impl From<&Tree> for Value {
    fn from(tree: &Tree) -> Self {
        match &tree.kind {
            Kind::Scalar { text, plain: true, .. } => resolve(text),
            Kind::Scalar { text, .. } => Self::String(text.clone()),
            Kind::Vault => Self::Vault,
            Kind::Seq(items) => {
                Self::List(items.iter().map(Self::from).collect())
            }
            Kind::Map(pairs) => Self::Map(
                pairs
                    .iter()
                    .filter_map(|(key, value)| {
                        let Kind::Scalar { text, .. } = &key.kind else {
                            return None;
                        };
                        Some((text.clone(), Self::from(value)))
                    })
                    .collect(),
            ),
        }
    }
}

/// Reads a boolean of YAML 1.1, or Python's `True`.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" | "1" => Some(true),
        "no" | "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// Resolves a plain scalar as PyYAML does (YAML 1.1, but dates stay text).
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On"
        | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
        | "OFF" => return Value::Bool(false),
        _ => {}
    }
    if let Some(value) = integer(text) {
        return Value::Int(value);
    }
    match float(text) {
        Some(value) => Value::Float(value),
        None => Value::String(text.to_owned()),
    }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let clean = digits.replace('_', "");
    let value = if let Some(hex) = clean.strip_prefix("0x") {
        i64::from_str_radix(hex, 16).ok()?
    } else if let Some(binary) = clean.strip_prefix("0b") {
        i64::from_str_radix(binary, 2).ok()?
    } else if clean.contains(':') {
        sexagesimal(&clean)?
    } else if clean.len() > 1 && clean.starts_with('0') {
        i64::from_str_radix(&clean, 8).ok()?
    } else {
        clean.parse().ok()?
    };
    if negative { value.checked_neg() } else { Some(value) }
}

/// `1:30` is 90 in YAML 1.1.
fn sexagesimal(text: &str) -> Option<i64> {
    if text.starts_with('0') {
        return None;
    }
    let mut total = 0_i64;
    for (i, part) in text.split(':').enumerate() {
        let value: i64 = part.parse().ok()?;
        if i > 0 && (value > 59 || part.len() > 2) {
            return None;
        }
        total = total.checked_mul(60)?.checked_add(value)?;
    }
    Some(total)
}

fn float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" if text.starts_with('-') => {
            return Some(f64::NEG_INFINITY);
        }
        ".inf" | ".Inf" | ".INF" => return Some(f64::INFINITY),
        _ => {}
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            // YAML 1.1 wants the sign: `1.0e3` is text.
            if !exponent.starts_with(['+', '-']) {
                return None;
            }
            (mantissa, Some(exponent))
        }
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.')?;
    let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit() || c == '_');
    if !digits(whole)
        || !digits(fraction)
        || (whole.is_empty() && fraction.is_empty())
        || exponent.is_some_and(|e| {
            e.len() < 2 || !e.chars().skip(1).all(|c| c.is_ascii_digit())
        })
    {
        return None;
    }
    text.replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `ansible-inventory --list` (core 2.19) shows them.
    #[test]
    fn plain_scalars_are_what_ansible_makes_of_them() {
        let cases = [
            ("yes", Value::Bool(true)),
            ("off", Value::Bool(false)),
            ("y", Value::String("y".into())),
            ("~", Value::Null),
            ("1.30", Value::Float(1.3)),
            ("0644", Value::Int(420)),
            ("1:30", Value::Int(90)),
            ("1_000", Value::Int(1000)),
            ("0x1F", Value::Int(31)),
            ("1e3", Value::String("1e3".into())),
            ("2001-12-14", Value::String("2001-12-14".into())),
            ("192.168.71.21", Value::String("192.168.71.21".into())),
            ("2.2.1-1", Value::String("2.2.1-1".into())),
            ("-5", Value::Int(-5)),
            ("08", Value::String("08".into())),
            ("-", Value::String("-".into())),
        ];
        for (text, expected) in cases {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}
