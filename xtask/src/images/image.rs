//! The images that exist, and what they are allowed to weigh.

use clap::ValueEnum;

/// An image, named as its binary and as its target in the Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Image {
    WeirBroker,
    WeirAgent,
    WeirUi,
    Weir,
}

impl Image {
    pub(crate) const ALL: [Self; 4] = [Self::WeirBroker, Self::WeirAgent, Self::WeirUi, Self::Weir];

    /// Of the image and of the binary.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WeirBroker => "weir-broker",
            Self::WeirAgent => "weir-agent",
            Self::WeirUi => "weir-ui",
            Self::Weir => "weir",
        }
    }

    /// The package whose binary it is.
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Weir => "weir-cli",
            image => image.name(),
        }
    }

    /// The most it should take when compressed. The command line has no target of its own: it is the
    /// other three in one.
    pub(crate) fn target_bytes(self) -> Option<u64> {
        match self {
            Self::WeirBroker => Some(6_000_000),
            Self::WeirAgent => Some(4_000_000),
            Self::WeirUi => Some(8_000_000),
            Self::Weir => None,
        }
    }

    /// Whether it makes connections under TLS, and so reads the authorities' certificates.
    pub(crate) fn has_certificates(self) -> bool {
        matches!(self, Self::WeirBroker | Self::Weir)
    }

    /// Where it keeps data.
    pub(crate) fn data_directory(self) -> Option<&'static str> {
        (self == Self::WeirBroker).then_some("app/data")
    }

    /// Whether the dashboard's page is inside.
    pub(crate) fn has_page(self) -> bool {
        matches!(self, Self::WeirUi | Self::Weir)
    }
}
