use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use weir_types::Offset;

/// Where a fetch or a stream begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest record.
    #[default]
    Earliest,
    /// After the newest record.
    Latest,
    /// At an offset (inclusive); only together with a partition.
    Offset(Offset),
    /// At a cursor from an earlier answer, or an RFC 3339 time; passed on unchanged.
    At(String),
}

impl fmt::Display for ReadFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Offset(offset) => offset.fmt(f),
            Self::At(text) => f.write_str(text),
        }
    }
}

/// Any text is taken; whether it is a cursor or a time, the broker says.
impl FromStr for ReadFrom {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "earliest" => Self::Earliest,
            "latest" => Self::Latest,
            _ => text.parse().map_or_else(
                |_| Self::At(text.to_owned()),
                |offset| Self::Offset(Offset(offset)),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_round_trip() {
        for text in ["earliest", "latest", "42", "AQAA", "2026-11-21T00:00:00Z"] {
            let Ok(place) = text.parse::<ReadFrom>();
            assert_eq!(place.to_string(), text);
        }
        assert_eq!("42".parse(), Ok(ReadFrom::Offset(Offset(42))));
    }
}
