use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;
use weir_types::DurationText;

/// Where a listener binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At this address; port 0 lets the system choose.
    On(SocketAddr),
}

impl Listen {
    /// The address, unless off.
    #[must_use]
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::On(address) => Some(address),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::On(address) => address.fmt(f),
        }
    }
}

/// Reads an address and port, or `off`.
///
/// # Errors
/// What is allowed.
pub fn listen(value: &str) -> Result<Listen, String> {
    if value == "off" {
        return Ok(Listen::Off);
    }
    value.parse().map(Listen::On).map_err(|_| {
        "allowed are an IP address with a port, such as \"127.0.0.1:5000\" or \"[::]:5000\", and \"off\""
            .to_owned()
    })
}

/// Reads a duration with a unit.
///
/// # Errors
/// What is allowed.
pub fn duration(value: &str) -> Result<Duration, String> {
    let parsed = value.parse::<DurationText>();
    parsed.map(|duration| duration.0).map_err(|_| {
        "allowed is a number with a unit, such as \"250ms\", \"30s\" or \"2h\"".to_owned()
    })
}

/// Reads a number of bytes, with or without a unit.
///
/// # Errors
/// What is allowed.
pub fn bytes(value: &str) -> Result<u64, String> {
    let parsed = value.parse::<bytesize::ByteSize>();
    parsed.map(|size| size.as_u64()).map_err(|_| {
        "allowed is a number of bytes, such as \"1048576\", \"1MiB\" or \"10GiB\"".to_owned()
    })
}

/// Reads `true` or `false`.
///
/// # Errors
/// What is allowed.
pub fn bool(value: &str) -> Result<bool, String> {
    let parsed = value.parse();
    parsed.map_err(|_| "allowed are \"true\" and \"false\"".to_owned())
}

/// Reads a number in `range`.
///
/// # Errors
/// What is allowed.
pub fn in_range<T>(range: RangeInclusive<T>) -> impl FnOnce(&str) -> Result<T, String>
where
    T: FromStr + PartialOrd + fmt::Display,
{
    move |value| {
        let number = value.parse().ok().filter(|number| range.contains(number));
        let (least, most) = (range.start(), range.end());
        number.ok_or_else(|| format!("allowed is a whole number from {least} to {most}"))
    }
}

/// Reads any value that knows how to be read, such as a name or a path.
///
/// # Errors
/// What the type says.
pub fn text<T>(value: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    value.parse().map_err(|error: T::Err| error.to_string())
}
