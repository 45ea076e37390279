//! Where to the broker may connect: targets come from clients, and the network behind the broker is
//! the operator's.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// Address ranges that targets may lie in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedTargets {
    /// Empty: everywhere but link-local addresses, where clouds keep their secrets.
    ranges: Vec<IpNet>,
}

impl AllowedTargets {
    /// Whether the broker may connect to `address`.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        match self.ranges.is_empty() {
            true => !is_link_local(address),
            false => self.ranges.iter().any(|range| range.contains(&address)),
        }
    }
}

/// The range as its addresses are compared: one of IPv4 addresses that are mapped into IPv6 is one of
/// IPv4.
fn canonical(range: IpNet) -> IpNet {
    const MAPPED: u8 = 96;
    let IpNet::V6(mapped) = range else {
        return range;
    };
    let Some(prefix) = mapped.prefix_len().checked_sub(MAPPED) else {
        return range;
    };
    let v4 = mapped.addr().to_ipv4_mapped();
    let v4 = v4.and_then(|address| IpNet::new(address.into(), prefix).ok());
    v4.unwrap_or(range)
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || embedded_v4(address).is_some_and(|v4| v4.is_link_local())
        }
    }
}

/// The address behind a NAT64 prefix (RFC 6052), which a gateway would connect to.
fn embedded_v4(address: Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = address.segments() else {
        return None;
    };
    Some((u32::from(high) << 16 | u32::from(low)).into())
}

impl FromStr for AllowedTargets {
    type Err = String;

    /// Ranges such as `10.0.0.0/8`, separated by commas; nothing stands for the default.
    fn from_str(text: &str) -> Result<Self, String> {
        let named = text
            .split(',')
            .map(str::trim)
            .filter(|range| !range.is_empty());
        let ranges = named.map(|range| {
            let address = || range.parse::<IpAddr>().map(IpNet::from);
            let parsed = range.parse::<IpNet>().or_else(|_| address());
            parsed.map(canonical).map_err(|_| {
                format!("{range:?} is no address range; allowed are ranges such as \"10.0.0.0/8,fd00::/8\"")
            })
        });
        Ok(Self {
            ranges: ranges.collect::<Result<_, _>>()?,
        })
    }
}

impl fmt::Display for AllowedTargets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ranges.is_empty() {
            return f.write_str("anything but link-local addresses");
        }
        let ranges: Vec<_> = self.ranges.iter().map(ToString::to_string).collect();
        f.write_str(&ranges.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(allowed: &str, address: &str) -> bool {
        let allowed: AllowedTargets = allowed.parse().unwrap();
        allowed.allows(address.parse().unwrap())
    }

    #[test]
    fn link_local_addresses_are_refused_however_they_are_written() {
        for refused in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "fe80::1",
            "64:ff9b::a9fe:a9fe",
        ] {
            assert!(!allows("", refused), "{refused}");
        }
        for allowed in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "fd00::1",
            "64:ff9b::a01:203",
        ] {
            assert!(allows("", allowed), "{allowed}");
        }
    }

    #[test]
    fn ranges_that_are_named_are_all_that_is_allowed() {
        let ranges = "10.0.0.0/8, fd00::/8,127.0.0.1";
        for (address, expected) in [
            ("10.9.9.9", true),
            ("::ffff:10.9.9.9", true),
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("fd12::1", true),
            ("::1", false),
        ] {
            assert_eq!(allows(ranges, address), expected, "{address}");
        }
        assert!(allows("169.254.0.0/16", "169.254.1.1"), "the operator may");
        assert!(allows("::ffff:10.0.0.0/104", "10.9.9.9"));
        assert!(!allows("::ffff:10.0.0.0/104", "11.9.9.9"));
        assert!("10.0.0.0/99".parse::<AllowedTargets>().is_err());
    }
}
