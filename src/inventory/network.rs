//! Whether an address, a prefix and a gateway fit together.

use std::net::IpAddr;

/// Which of the three is to blame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The node's address.
    Address,
    /// The gateway.
    Gateway,
    /// The prefix.
    Prefix,
}

/// Checks a static address; gives the prefix, with its default filled in: 24
/// for IPv4, 64 for IPv6.
pub(super) fn check(
    address: IpAddr,
    gateway: IpAddr,
    prefix: Option<u8>,
) -> Result<u8, (Blame, String)> {
    for (ip, blame) in [(address, Blame::Address), (gateway, Blame::Gateway)] {
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return Err((blame, format!("{ip} cannot be a host's address")));
        }
    }
    if address.is_ipv4() != gateway.is_ipv4() {
        return Err((
            Blame::Address,
            format!(
                "the address {address} and the gateway {gateway} are not of \
                 one family"
            ),
        ));
    }
    let (width, default) = if address.is_ipv4() { (32, 24) } else { (128, 64) };
    let prefix = prefix.unwrap_or(default);
    if prefix >= width {
        return Err((
            Blame::Prefix,
            format!("a prefix of {prefix} leaves no room for a gateway"),
        ));
    }
    if address == gateway {
        return Err((
            Blame::Address,
            format!("the address {address} is the gateway's own"),
        ));
    }
    let network = network(address, prefix);
    let link_local =
        matches!(gateway, IpAddr::V6(ip) if ip.is_unicast_link_local());
    if !link_local && network != self::network(gateway, prefix) {
        return Err((
            Blame::Address,
            format!(
                "the address {address} is outside of the gateway's network \
                 {}/{prefix}",
                from_bits(self::network(gateway, prefix), gateway)
            ),
        ));
    }
    // A /31 has neither (RFC 3021), IPv6 has no broadcast.
    if address.is_ipv4() && prefix < 31 {
        let host = bits(address) ^ network;
        let ones = mask(prefix) ^ u128::from(u32::MAX);
        if host == 0 {
            return Err((
                Blame::Address,
                format!("{address} is the network itself, not a host in it"),
            ));
        }
        if host == ones {
            return Err((
                Blame::Address,
                format!("{address} is the broadcast address of its network"),
            ));
        }
    }
    Ok(prefix)
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    }
}

/// The mask of an IPv4 prefix.
fn mask(prefix: u8) -> u128 {
    let ones = u32::MAX
        .checked_shl(32_u32.saturating_sub(u32::from(prefix)))
        .unwrap_or(0);
    u128::from(ones)
}

fn network(ip: IpAddr, prefix: u8) -> u128 {
    match ip {
        IpAddr::V4(_) => bits(ip) & mask(prefix),
        IpAddr::V6(_) => {
            let ones = u128::MAX
                .checked_shl(128_u32.saturating_sub(u32::from(prefix)))
                .unwrap_or(0);
            bits(ip) & ones
        }
    }
}

/// Turns bits into an address of the family of another.
fn from_bits(bits: u128, like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => {
            IpAddr::V4(u32::try_from(bits).unwrap_or_default().into())
        }
        IpAddr::V6(_) => IpAddr::V6(bits.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(address: &str, gateway: &str, prefix: u8) -> Result<u8, Blame> {
        let parse = |text: &str| text.parse().unwrap();
        check(parse(address), parse(gateway), Some(prefix))
            .map_err(|(blame, _)| blame)
    }

    #[test]
    fn addresses_must_fit_the_gateway() {
        assert_eq!(run("192.168.71.21", "192.168.71.1", 24), Ok(24));
        assert_eq!(run("192.168.71.21", "192.168.70.1", 23), Ok(23));
        assert_eq!(run("10.0.0.1", "10.0.0.0", 31), Ok(31));
        assert_eq!(run("fd00::21", "fd00::1", 64), Ok(64));
        assert_eq!(run("fd00::21", "fe80::1", 64), Ok(64));
        for (address, gateway, prefix) in [
            ("192.168.72.21", "192.168.71.1", 24),
            ("192.168.71.0", "192.168.71.1", 24),
            ("192.168.71.255", "192.168.71.1", 24),
            ("192.168.71.1", "192.168.71.1", 24),
            ("fd00:1::21", "fd00::1", 64),
            ("fd00::21", "192.168.71.1", 24),
            ("127.0.0.1", "192.168.71.1", 24),
        ] {
            let result = run(address, gateway, prefix);
            assert_eq!(result, Err(Blame::Address), "{address}");
        }
        let result = run("10.0.0.2", "10.0.0.1", 32);
        assert_eq!(result, Err(Blame::Prefix));
    }
}
