//! Every setting, once: flag, environment variable, TOML key, default, meaning.

use weir_service::settings::Setting;

/// Everything that can be set.
pub static SETTINGS: &[Setting] = &[
    setting(
        "data-dir",
        "WEIR_DATA_DIR",
        "DIR",
        "./data",
        "Where messages are kept",
    )
    .or(&["BROKER_DATA_DIR"]),
    setting(
        "http",
        "WEIR_HTTP",
        "ADDR",
        "127.0.0.1:5000",
        "Addresses of the HTTP listeners, separated by commas, or \"off\"",
    )
    .or(&["PORT"]),
    setting(
        "tcp",
        "WEIR_TCP",
        "ADDR",
        "off",
        "Address of the TCP listener; this version has none, so only \"off\" is allowed",
    ),
    setting(
        "grpc",
        "WEIR_GRPC",
        "ADDR",
        "auto",
        "Addresses of the gRPC listeners, separated by commas, or \"off\"; \"auto\" is 127.0.0.1:50051 unless that is taken",
    ),
    setting(
        "durability",
        "WEIR_DURABILITY",
        "WHEN",
        "fsync",
        "When a publish counts as done: \"fsync\", \"interval=<duration>\" or \"os\"; per topic too",
    ),
    setting(
        "create-topics",
        "WEIR_CREATE_TOPICS",
        "WHEN",
        "on-first-use",
        "Whether using a topic creates it: \"on-first-use\" or \"explicitly\"",
    ),
    setting(
        "max-topics",
        "WEIR_MAX_TOPICS",
        "N",
        "10000",
        "Topics that may exist",
    ),
    setting(
        "partitions",
        "WEIR_PARTITIONS",
        "N",
        "1",
        "Partitions of a topic created without saying",
    ),
    setting(
        "retention-age",
        "WEIR_RETENTION_AGE",
        "DURATION",
        "7days",
        "Default of the topics' retention_age; topics named host.* keep 24 hours",
    ),
    setting(
        "retention-bytes",
        "WEIR_RETENTION_BYTES",
        "BYTES",
        "10GiB",
        "Default of the topics' retention_bytes, for each partition; topics named host.* keep 2 GiB",
    ),
    setting(
        "segment-bytes",
        "WEIR_SEGMENT_BYTES",
        "BYTES",
        "64MiB",
        "Default of the topics' segment_bytes",
    ),
    setting(
        "segment-age",
        "WEIR_SEGMENT_AGE",
        "DURATION",
        "1day",
        "Default of the topics' segment_age",
    ),
    setting(
        "visibility-timeout",
        "WEIR_VISIBILITY_TIMEOUT",
        "DURATION",
        "30s",
        "Default of the topics' visibility_timeout: how long a lease lasts",
    ),
    setting(
        "max-deliveries",
        "WEIR_MAX_DELIVERIES",
        "N",
        "16",
        "Default of the topics' max_deliveries: a message leased this often becomes a dead letter",
    ),
    setting(
        "retry-backoff",
        "WEIR_RETRY_BACKOFF",
        "JSON",
        "[]",
        "Default of the topics' retry_backoff: waits between deliveries, such as [\"1s\",\"1m\"]",
    ),
    setting(
        "dedupe-window",
        "WEIR_DEDUPE_WINDOW",
        "DURATION",
        "2m",
        "Default of the topics' dedupe_window: how long an id is not stored again; 0s turns it off",
    ),
    setting(
        "min-free-bytes",
        "WEIR_MIN_FREE_BYTES",
        "BYTES",
        "256MiB",
        "Publishes are refused when less is free on the disk",
    ),
    setting(
        "commit-log-bytes",
        "WEIR_COMMIT_LOG_BYTES",
        "BYTES",
        "32MiB",
        "Size of the commit log that makes rounds durable; a crash replays at most this much",
    ),
    setting(
        "max-open-files",
        "WEIR_MAX_OPEN_FILES",
        "N",
        "1024",
        "Segments and journals that stay open; others are opened when they are used",
    ),
    setting(
        "max-held-back",
        "WEIR_MAX_HELD_BACK",
        "N",
        "1000000",
        "Messages that a group holds back behind others with their key, for each partition (16 bytes each); at this bound it reads no further",
    ),
    setting(
        "max-in-flight",
        "WEIR_MAX_IN_FLIGHT",
        "N",
        "1000000",
        "Messages of a group that are leased or wait for their next delivery, for each partition (64 bytes each); at this bound it reads no further",
    ),
    setting(
        "max-payload-bytes",
        "WEIR_MAX_PAYLOAD_BYTES",
        "BYTES",
        "1MiB",
        "Largest payload",
    ),
    setting(
        "max-bytes-in-flight",
        "WEIR_MAX_BYTES_IN_FLIGHT",
        "BYTES",
        "64MiB",
        "Request bodies held at one time, all together",
    ),
    setting(
        "max-connections",
        "WEIR_MAX_CONNECTIONS",
        "N",
        "10000",
        "Connections at one time; further ones wait",
    ),
    setting(
        "header-timeout",
        "WEIR_HEADER_TIMEOUT",
        "DURATION",
        "75s",
        "Longest time for a request's headers, and for a kept-alive connection to be idle",
    ),
    setting(
        "body-timeout",
        "WEIR_BODY_TIMEOUT",
        "DURATION",
        "30s",
        "Longest pause within a request's body; the whole body may take four times as long",
    ),
    setting(
        "write-timeout",
        "WEIR_WRITE_TIMEOUT",
        "DURATION",
        "30s",
        "Time for a client to take the next 16 KiB of an answer that waits for it, or what is left",
    ),
    setting(
        "push-allow",
        "WEIR_PUSH_ALLOW",
        "RANGES",
        "",
        "Address ranges that messages may be pushed to, such as 10.0.0.0/8,fd00::/8; empty allows anything but link-local addresses",
    ),
    setting_without_default(
        "push-ca",
        "WEIR_PUSH_CA",
        "FILE",
        "Certificates (PEM) of the authorities that vouch for https targets, instead of the system's",
    ),
    setting(
        "breaker-failures",
        "WEIR_BREAKER_FAILURES",
        "N",
        "5",
        "Failures in a row after which a target is left alone",
    )
    .or(&["BACKEND_CIRCUIT_MAX_FAILURES"]),
    setting(
        "breaker-reset",
        "WEIR_BREAKER_RESET",
        "DURATION",
        "30s",
        "How long a target is left alone before one trial",
    )
    .or(&["BACKEND_CIRCUIT_RESET_SECS"]),
    setting(
        "backend-targets",
        "WEIR_BACKEND_TARGETS",
        "HOST:PORT,…",
        "",
        "Backends that speak message.MessageBrokerService",
    )
    .or(&["BACKEND_TARGETS"]),
    setting(
        "backend-topics",
        "WEIR_BACKEND_TOPICS",
        "TOPIC,…",
        "",
        "Topics whose messages are delivered to the backends",
    ),
    setting(
        "partitioned-topics",
        "WEIR_PARTITIONED_TOPICS",
        "TOPIC:N,…",
        "events:8,orders:4,default:8",
        "Topics, and their partitions, that /produce?topic= creates on first use",
    )
    .or(&["TOPICS"]),
    setting(
        "broker-index",
        "WEIR_BROKER_INDEX",
        "N",
        "0",
        "Which of broker-count brokers this is: of /produce?topic= it has the partitions with partition % count = index",
    )
    .or(&["BROKER_INDEX"]),
    setting(
        "broker-count",
        "WEIR_BROKER_COUNT",
        "N",
        "1",
        "Brokers that share the partitions of /produce?topic=; fixed once there is data",
    )
    .or(&["BROKER_COUNT"]),
    setting(
        "broker-peers",
        "WEIR_BROKER_PEERS",
        "HOST:PORT,…",
        "",
        "All of these brokers in order of index, itself included: requests for their partitions are forwarded",
    )
    .or(&["BROKER_PEERS"]),
    setting(
        "gateway-topic",
        "WEIR_GATEWAY_TOPIC",
        "TOPIC:N",
        "queue:16",
        "Topic, and its partitions, behind /api/python/",
    ),
    setting(
        "grace-period",
        "WEIR_GRACE_PERIOD",
        "DURATION",
        "20s",
        "Longest time between SIGTERM and the end",
    ),
    setting(
        "worker-threads",
        "WEIR_WORKER_THREADS",
        "N",
        "0",
        "Threads that serve requests; 0 takes one for each processor but one, which the disk's thread has",
    ),
    setting(
        "log-format",
        "WEIR_LOG_FORMAT",
        "FORMAT",
        "text",
        "How log lines look: \"text\" or \"json\"",
    ),
    setting(
        "log-filter",
        "WEIR_LOG_FILTER",
        "FILTER",
        "info",
        "What is logged, such as \"info\" or \"info,weir_broker=debug\"",
    ),
];

const fn setting_without_default(
    name: &'static str,
    env: &'static str,
    value_name: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        default: None,
        ..setting(name, env, value_name, "", help)
    }
}

const fn setting(
    name: &'static str,
    env: &'static str,
    value_name: &'static str,
    default: &'static str,
    help: &'static str,
) -> Setting {
    Setting {
        name,
        env,
        env_aliases: &[],
        value_name,
        default: Some(default),
        help,
    }
}
