#!/usr/bin/env bash
# Starts each peer on loopback with its own empty data directory, measures it, stops it.
#
#   ./run.sh OUT.jsonl [peer…]        peers: see `all` below; default: all
#
#   SCENARIOS="publish fetch"         a subset of: publish publish-batch fetch consume e2e
#   REPEATS=3 SECONDS_PER_RUN=3       rounds through all peers; length of a measurement
#   BACKLOG=N                         messages of consume and fetch; default: 400000, RabbitMQ 100000
#   WEIR_E2E=lease                    how weir's consumer of e2e listens: group-stream, lease, stream
#   WORK=DIR                          data directories; default: a folder in $TMPDIR
#   WEIR_BIN=FILE                     default: this checkout's release build
#
# Servers from apt are found on PATH. Peers that are not packaged are run from a binary named in
# MINIMQ_BIN or IGGY_BIN (that one needs a build with `--features iggy`), and skipped without it.
set -euo pipefail
out=$(realpath -m "${1:?usage: run.sh OUT.jsonl [peer…]}")
shift
weir_bin=$(realpath -m "${WEIR_BIN:-$(dirname "$0")/../../target/release/weir-broker}")
cd "$(dirname "$0")"

work=${WORK:-${TMPDIR:-/tmp}/peerbench}
repeats=${REPEATS:-3}
seconds=${SECONDS_PER_RUN:-3}
e2e_seconds=${E2E_SECONDS:-20}
weir_e2e=${WEIR_E2E:-group-stream}
scenarios=${SCENARIOS:-publish publish-batch fetch consume e2e}
bench=./target/release/peerbench
all=(warp warp-1-thread redis-everysec redis-always nats rabbit-classic rabbit-classic-v2
    rabbit-quorum minimq iggy iggy-fsync weir weir-os)
# Not the default ones, where a service may run already.
warp_port=15100 weir_port=15000 redis_port=16379 nats_port=14222
rabbit_port=15672 rabbit_distribution_port=15673 epmd_port=15369
minimq_port=5000 iggy_port=8090 # these two cannot be told

pid= epmd_pid=
end() {
    [[ -n $1 ]] && kill "$1" 2>/dev/null || return 0
    for _ in {1..100}; do kill -0 "$1" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$1" 2>/dev/null || true
}
stop() { end "$pid"; end "$epmd_pid"; pid= epmd_pid=; rm -rf "${work:?}"/data; }
trap stop EXIT

is_open() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# Before a server is started: an empty data directory, and nobody else on its port.
prepare() {
    ! is_open "$1" || { echo "something listens on port $1 already" >&2; exit 1; }
    rm -rf "${work:?}/data"
    mkdir -p "$work/data"
}
wait_port() {
    for _ in {1..300}; do is_open "$1" && return; sleep 0.1; done
    echo "nothing on port $1" >&2
    return 1
}
skip() { echo "skipping $label: $1" >&2; }

start_warp() {
    prepare $warp_port
    ./target/release/warp-ceiling --addr 127.0.0.1:$warp_port "$@" & pid=$!
    wait_port $warp_port
}

start_weir() {
    prepare $weir_port
    "$weir_bin" --data-dir "$work/data" --http 127.0.0.1:$weir_port --durability "$1" \
        --log-filter warn >"$work/log" 2>&1 & pid=$!
    wait_port $weir_port
}

start_redis() {
    prepare $redis_port
    redis-server --bind 127.0.0.1 --port $redis_port --dir "$work/data" --save '' \
        --appendonly yes --appendfsync "$1" --auto-aof-rewrite-percentage 0 \
        --logfile "$work/log" & pid=$!
    wait_port $redis_port
}

start_nats() {
    prepare $nats_port
    cat >"$work/nats.conf" <<CONF
listen: "127.0.0.1:$nats_port"
jetstream { store_dir: "$work/data", max_file_store: 20GB, max_memory_store: 1GB }
CONF
    nats-server -c "$work/nats.conf" -l "$work/log" & pid=$!
    wait_port $nats_port
}

# start_rabbit QUEUE_VERSION. Its own epmd, because one it starts by itself would stay.
start_rabbit() {
    prepare $rabbit_port
    printf 'listeners.tcp.1 = 127.0.0.1:%s\nclassic_queue.default_version = %s\n' \
        $rabbit_port "$1" >"$work/data/rabbitmq.conf"
    : >"$work/data/enabled_plugins"
    epmd -address 127.0.0.1 -port $epmd_port & epmd_pid=$!
    wait_port $epmd_port
    HOME=$work/data ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd_port \
        RABBITMQ_NODENAME=bench@localhost RABBITMQ_DIST_PORT=$rabbit_distribution_port \
        RABBITMQ_CONFIG_FILE=$work/data/rabbitmq RABBITMQ_MNESIA_BASE=$work/data/mnesia \
        RABBITMQ_ENABLED_PLUGINS_FILE=$work/data/enabled_plugins \
        RABBITMQ_LOG_BASE=$work/data/log RABBITMQ_PID_FILE=$work/data/pid \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
        /usr/lib/rabbitmq/bin/rabbitmq-server >"$work/log" 2>&1 &
    wait_port $rabbit_port
    pid=$(cat "$work/data/pid")
}

start_minimq() {
    prepare $minimq_port
    (cd "$work/data" && exec "$MINIMQ_BIN" >/dev/null 2>&1) & pid=$!
    wait_port $minimq_port
}

start_iggy() {
    prepare $iggy_port
    (cd "$work/data" && exec env IGGY_SYSTEM_PATH="$work/data" IGGY_ROOT_USERNAME=iggy \
        IGGY_ROOT_PASSWORD=iggy IGGY_HTTP_ENABLED=false IGGY_QUIC_ENABLED=false \
        IGGY_WEBSOCKET_ENABLED=false "$@" "$IGGY_BIN" >"$work/log" 2>&1) & pid=$!
    wait_port $iggy_port
}

# once SCENARIO ARGS…: one run of the current peer.
once() {
    timeout 120 "$bench" run --label "$label" --out "$out" --pid "$pid" "${peer[@]}" \
        --scenario "$@" || echo "FAILED $label $*" >&2
}

publish() {
    local publishers
    for publishers in 1 16 64; do once publish --publishers $publishers --seconds "$seconds"; done
    once publish --publishers 16 --size 1024 --seconds "$seconds"
}
publish-batch() {
    once publish-batch --publishers 1 --batch 1000 --seconds "$seconds"
    once publish-batch --publishers 4 --batch 256 --seconds "$seconds"
    once publish-batch --publishers 4 --batch 256 --size 1024 --seconds "$seconds"
}
fetch() {
    local readers
    for readers in 1 4; do
        once fetch --consumers $readers --messages "$backlog" --take "$fetch_take" --seconds 20
    done
}
consume() {
    local consumers
    for consumers in 1 4; do
        once consume --consumers $consumers --messages "$backlog" --take 256 --seconds 20
    done
}
e2e() {
    once e2e --publishers 16 --consumers 1 --rate 1000 --seconds "$e2e_seconds" "${e2e_via[@]}"
}

# each SCENARIO…: those of them that were asked for.
each() {
    local scenario
    for scenario in "$@"; do
        [[ " $scenarios " != *" $scenario "* ]] || "$scenario"
    done
}

measure() {
    label=$1 backlog=${BACKLOG:-400000} fetch_take=1000 e2e_via=()
    case $label in
        warp | warp-1-thread)
            if [[ $label == warp ]]; then start_warp; else start_warp --threads 1; fi
            peer=(--system http --addr 127.0.0.1:$warp_port --batch-path /batch)
            each publish publish-batch ;;
        weir | weir-os)
            [[ -x $weir_bin ]] || { skip "$weir_bin is missing; cargo build --release"; return; }
            if [[ $label == weir ]]; then start_weir fsync; else start_weir os; fi
            local topic=/v1/topics/{{topic}}
            local group=$topic/groups/g
            case $weir_e2e in
                group-stream) e2e_via=(--sse-path "$group/stream?max_in_flight=512&member={{consumer}}") ;;
                lease) e2e_via=() ;;
                stream) e2e_via=(--sse-path "$topic/stream?from=earliest") ;;
                *) echo "WEIR_E2E is $weir_e2e; known: group-stream lease stream" >&2; return 1 ;;
            esac
            peer=(--system http --addr 127.0.0.1:$weir_port
                --create-method PUT --create-path $topic --create-body '{"partitions":1}'
                --publish-path $topic/messages
                --batch-path $topic/messages --batch-item '{"payload":{{payload}}}'
                --fetch-path "$topic/messages?partition=0&from={{next}}&limit=10000&max_bytes=1048576"
                --group-path $group
                --consume-method POST --consume-path "$group/lease?max={{max}}&wait=1s"
                --ack-member receipt --ack-path $group/ack
                --ack-body '{"receipts":{{ack}}}' --ack-done '"status":"acked"'
                --delete-path $topic)
            each publish publish-batch fetch consume e2e ;;
        redis-*)
            start_redis "${label#redis-}"
            peer=(--system redis --addr 127.0.0.1:$redis_port)
            each publish publish-batch fetch consume e2e ;;
        nats)
            start_nats
            peer=(--system nats --addr 127.0.0.1:$nats_port)
            each publish publish-batch fetch consume e2e ;;
        rabbit-*)
            local version=1 type=${label#rabbit-}
            [[ $type != classic-v2 ]] || version=2
            start_rabbit $version
            peer=(--system rabbit --addr 127.0.0.1:$rabbit_port --queue-type "${type%-v2}")
            backlog=${BACKLOG:-100000}
            each publish publish-batch consume e2e ;;
        minimq)
            [[ -n ${MINIMQ_BIN:-} ]] || { skip "MINIMQ_BIN is unset"; return; }
            start_minimq
            peer=(--system minimq --addr 127.0.0.1:$minimq_port --batch 1)
            # Each read scans the whole topic, so a longer backlog costs more than its length.
            backlog=2000
            each publish consume e2e ;;
        iggy | iggy-fsync)
            [[ -n ${IGGY_BIN:-} ]] || { skip "IGGY_BIN is unset"; return; }
            local fsync=()
            [[ $label == iggy ]] || fsync=(IGGY_SYSTEM_PARTITION_ENFORCE_FSYNC=true
                IGGY_SYSTEM_PARTITION_MESSAGES_REQUIRED_TO_SAVE=1)
            start_iggy "${fsync[@]}"
            peer=(--system iggy --addr 127.0.0.1:$iggy_port --partitions 4)
            each publish publish-batch fetch consume e2e ;;
        *) echo "unknown peer $label; known: ${all[*]}" >&2; return 1 ;;
    esac
    stop
}

(($#)) || set -- "${all[@]}"
# Round by round, so that a disturbance hits all peers and not all repeats of one; each round with a
# fresh server, so that no measurement pays for what an earlier round left behind.
for ((round = 0; round < repeats; round++)); do
    for name in "$@"; do measure "$name"; done
done
