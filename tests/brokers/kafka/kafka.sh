#!/usr/bin/env bash
# One real Apache Kafka node (broker and controller, KRaft) on loopback ports, from Maven's jars.
#
#   kafka.sh fetch            jars and a class-data archive into $KAFKA_HOME (once)
#   kafka.sh up               format the storage in $KAFKA_DATA, start, wait until it serves
#   kafka.sh start            start again on the same storage, wait until it serves
#   kafka.sh stop | kill9 | freeze | thaw
#   kafka.sh down             end it, whatever state it is in, and delete $KAFKA_DATA
#   kafka.sh run CLASS ARG…   one of Kafka's own tools
#
# KAFKA_HOME  where the jars are kept (default: tests/.work/kafka)
# KAFKA_DATA  storage, log and pid of this node (a directory of its own)
# KAFKA_BASE  first of its ports: +1 controller, +11 clients, +12 between brokers,
#             +13 clients behind a proxy, which is told to them as +14
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${KAFKA_HOME:-$here/../../.work/kafka}
archive=$home/classes.jsa
jvm=(java -Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
  "-Dlog4j2.configurationFile=$here/log4j2.properties")
on_classes=(-cp "$home/lib/*")
[ ! -f "$archive" ] || on_classes=("-XX:SharedArchiveFile=$archive" "${on_classes[@]}")

fail() { echo "kafka.sh: $*" >&2; exit 1; }

data() { [ -n "${KAFKA_DATA:-}" ] || fail "KAFKA_DATA is not set"; echo "$KAFKA_DATA"; }

configuration() {
  local dir=$1 base=${KAFKA_BASE:?KAFKA_BASE is not set}
  cat <<END
node.id=1
process.roles=broker,controller
controller.quorum.voters=1@127.0.0.1:$((base + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
listeners=CLIENT://127.0.0.1:$((base + 11)),INTERNAL://127.0.0.1:$((base + 12)),PROXIED://127.0.0.1:$((base + 13)),CONTROLLER://127.0.0.1:$((base + 1))
advertised.listeners=CLIENT://127.0.0.1:$((base + 11)),INTERNAL://127.0.0.1:$((base + 12)),PROXIED://127.0.0.1:$((base + 14))
log.dirs=$dir/log
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=3
# A group forms at once, and a member that was killed is found dead soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# The controller waits this long before it takes a killed broker back.
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=1500
# The cleaner's default buffer is a third of this heap.
log.cleaner.dedupe.buffer.size=2097152
END
}

# A killed process may stay a zombie until its parent looks: that counts as gone.
lives() { grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# Only a process that is this node's: its own storage stands in its command line.
node() {
  local dir pid
  dir=$(data)
  pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  lives "$pid" && grep -qa "$dir/server.properties" "/proc/$pid/cmdline" && echo "$pid"
}

wait_gone() {
  local pid=$1 tries
  for ((tries = 0; tries < 1200; tries++)); do
    lives "$pid" || return 0
    sleep 0.05
  done
  fail "node $pid does not end"
}

start() {
  local dir pid tries
  dir=$(data)
  ! node >/dev/null || fail "already running in $dir"
  : >"$dir/out"
  nohup "${jvm[@]}" "${on_classes[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/out" 2>&1 </dev/null &
  pid=$!
  echo "$pid" >"$dir/pid"
  for ((tries = 0; tries < 1200; tries++)); do
    ! grep -q 'Kafka Server started' "$dir/out" || return 0
    lives "$pid" || { tail -20 "$dir/out" >&2; fail "the node died while starting"; }
    sleep 0.05
  done
  fail "the node is not ready after 60 s: see $dir/out"
}

format() {
  local dir
  dir=$(data)
  mkdir -p "$dir/log"
  configuration "$dir" >"$dir/server.properties"
  # The cluster's id is any UUID in base64url; the same one keeps runs alike.
  run kafka.tools.StorageTool format -t 3q2-7wAAQACAAAAAAAAAAQ -c "$dir/server.properties" \
    >"$dir/format.out" 2>&1 || { cat "$dir/format.out" >&2; fail "the storage was not formatted"; }
}

run() { "${jvm[@]}" -Dkafka.log=ERROR "${on_classes[@]}" "$@"; }

fetch() {
  local wanted
  # The archive is of one Java only.
  wanted=$({ cat "$here/pom.xml"; java -version 2>&1; } | sha256sum)
  [ "$(cat "$home/fetched" 2>/dev/null)" != "$wanted" ] || return 0
  rm -rf "$home"
  mkdir -p "$home"
  mvn -B -ntp -q -f "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$home/lib"
  on_classes=("-XX:ArchiveClassesAtExit=$archive.new" -cp "$home/lib/*")
  # A start with an archive of its classes takes half the time, and the tests start many tools.
  format
  start
  stop
  rm -rf "$(data)"
  mv "$archive.new" "$archive"
  echo "$wanted" >"$home/fetched"
}

signal() { kill "-$1" "$(node || fail "not running")"; }

stop() {
  local pid
  pid=$(node) || fail "not running"
  kill "$pid"
  wait_gone "$pid"
}

kill9() {
  local pid
  pid=$(node) || fail "not running"
  kill -KILL "$pid"
  wait_gone "$pid"
}

case ${1:-} in
  fetch) fetch ;;
  up) format && start ;;
  start) start ;;
  stop) stop ;;
  kill9) kill9 ;;
  freeze) signal STOP ;;
  thaw) signal CONT ;;
  run) shift; run "$@" ;;
  down)
    ! node >/dev/null || kill9
    rm -rf "$(data)"
    ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
