//! The rules, as data. To change one is to change what DESIGN and STYLE promise: give the reason.

/// Which members of the workspace a member may use in `[dependencies]` and `[build-dependencies]`.
pub(super) struct Edges {
    pub(super) package: &'static str,
    pub(super) may_use: &'static [&'static str],
    pub(super) why: &'static str,
}

pub(super) const EDGES: &[Edges] = &[
    Edges {
        package: "weir-types",
        may_use: &[],
        why: "the words of Weir stand at the bottom; everything else may use them",
    },
    Edges {
        package: "weir-protocol",
        may_use: &["weir-types"],
        why: "only protocol knows bytes on the wire, and it knows nothing of bytes on disk",
    },
    Edges {
        package: "weir-commitlog",
        may_use: &["weir-types"],
        why: "only commitlog knows bytes on disk, and it knows nothing of bytes on the wire",
    },
    Edges {
        package: "weir-client",
        may_use: &["weir-types", "weir-protocol"],
        why: "a client speaks the protocol; it must not drag the broker or its storage along",
    },
    Edges {
        package: "weir-service",
        may_use: &["weir-types", "weir-protocol"],
        why: "process plumbing serves every binary and so depends on none",
    },
    Edges {
        package: "weir-broker",
        may_use: &[
            "weir-types",
            "weir-protocol",
            "weir-commitlog",
            "weir-service",
        ],
        why: "the broker serves clients, it is none",
    },
    Edges {
        package: "weir-agent",
        may_use: &["weir-types", "weir-client", "weir-service"],
        why: "the agent reaches the broker as anyone does, through the client",
    },
    Edges {
        package: "weir-ui",
        may_use: &["weir-types", "weir-client", "weir-service"],
        why: "the dashboard reaches the broker as anyone does, through the client",
    },
    Edges {
        package: "weir-cli",
        may_use: &[
            "weir-types",
            "weir-protocol",
            "weir-commitlog",
            "weir-client",
            "weir-service",
            "weir-broker",
            "weir-agent",
            "weir-ui",
        ],
        why: "only cli may use the binaries' libraries; test support stays out of products",
    },
    Edges {
        package: "weir-testkit",
        may_use: &[
            "weir-types",
            "weir-protocol",
            "weir-commitlog",
            "weir-client",
            "weir-service",
            "weir-broker",
        ],
        why: "testkit supports the tests of what it uses; it is a dev-dependency only",
    },
    Edges {
        package: "weir-chart",
        may_use: &[],
        why: "the chart is rendered while the product does not compile; it knows binaries by name only",
    },
    Edges {
        package: "xtask",
        may_use: &["weir-chart"],
        why: "tasks must build and run while the product does not compile",
    },
];

/// What tests may use besides their package's own edges and the package itself (for its features).
pub(super) const TESTS_MAY_USE: &[&str] = &["weir-testkit", "weir-client", "weir-chart"];

/// What the tests of single members may use beyond that: a member, and what its tests need. The
/// dashboard's run against a real broker in their own process, which they can restart.
pub(super) const TESTS_OF_MAY_USE: &[(&str, &str)] = &[("weir-ui", "weir-broker")];

/// Crates from outside that must not become dependencies of some members. Tests may use them, and
/// so may features, which is where the faulty file system for tests lives.
pub(super) struct Outsiders {
    pub(super) packages: &'static [&'static str],
    pub(super) must_not_use: &'static [&'static str],
    pub(super) why: &'static str,
}

pub(super) const OUTSIDERS: &[Outsiders] = &[
    Outsiders {
        packages: &["weir-types", "weir-protocol", "weir-commitlog"],
        must_not_use: &["tokio", "tokio-util", "futures-util", "hyper", "warp"],
        why: "synchronous by design: simulation drives them, and async belongs to the task layer",
    },
    Outsiders {
        packages: &["weir-types", "weir-protocol", "weir-commitlog"],
        must_not_use: &["fastrand", "rand", "getrandom", "uuid"],
        why: "time and randomness are passed in below the task layer",
    },
];

/// Text that must not occur in code (comments and string literals do not count).
pub(super) struct Forbidden {
    /// Matches where it does not continue an identifier to its left.
    pub(super) text: &'static [&'static str],
    /// Longer text that is meant otherwise.
    pub(super) unless: &'static [&'static str],
    /// Files and directories, from the root; empty means everywhere.
    pub(super) within: &'static [&'static str],
    pub(super) tests: InTests,
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum InTests {
    Allowed,
    Forbidden,
}

pub(super) const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        text: &["todo!(", "unimplemented!("],
        unless: &[],
        within: &[],
        tests: InTests::Forbidden,
        why: "what is on main works; what is missing is an issue",
    },
    Forbidden {
        text: &["#[ignore"],
        unless: &[],
        within: &[],
        tests: InTests::Forbidden,
        why: "an ignored test promises what nobody checks; slow ones are named slow_ and run in CI",
    },
    Forbidden {
        text: &[
            "SystemTime::now",
            "Instant::now",
            "fastrand::",
            "rand::",
            "Rng::new()",
            "Rng::default()",
        ],
        // A generator that is given its seed repeats itself.
        unless: &["fastrand::Rng"],
        within: &[
            "crates/types",
            "crates/protocol",
            "crates/commitlog",
            "broker/src/group/partition",
            "broker/src/group/partition.rs",
            "agent/src/buffer.rs",
            "agent/src/encode.rs",
            "agent/src/schedule.rs",
            "consumer-ui/src/exporter",
            "consumer-ui/src/fold",
            "consumer-ui/src/sample",
            "consumer-ui/src/sample.rs",
        ],
        tests: InTests::Allowed,
        why: "time and randomness are passed in below the task layer (`now` is an argument), so \
              that everything can run under simulation",
    },
];

/// File and directory names, without `.rs`, that do not say what is inside.
pub(super) const EMPTY_NAMES: &[&str] = &[
    "util", "utils", "helper", "helpers", "common", "misc", "manager", "managers",
];
pub(super) const EMPTY_NAMES_WHY: &str =
    "a stranger must find things by name: split by concept, never by kind";

/// Files that open a crate or a folder and so must begin with `//!`.
pub(super) const DOCUMENTED_FILES: &[&str] = &["lib.rs", "main.rs", "mod.rs"];
pub(super) const DOCUMENTED_FILES_WHY: &str =
    "a module doc says what it owns, what it refuses and the invariant";

/// The only integration test binary a package may have.
pub(super) const TEST_BINARY: &str = "tests/it/main.rs";
pub(super) const TEST_BINARY_WHY: &str = "one integration binary per crate, a file per \
     behaviour: each further binary links everything again";
