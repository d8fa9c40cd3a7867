#!/usr/bin/env bash
# A real Apache Kafka (KRaft) on loopback ports, from Maven's jars: one node that is broker and
# controller, or three brokers of which the last is the controller as well.
#
#   kafka.sh fetch            jars and a class-data archive into $KAFKA_HOME (once)
#   kafka.sh up               format the storage in $KAFKA_DATA, start, wait until it serves
#   kafka.sh start [NODE]     start again on the same storage, wait until it serves
#   kafka.sh stop | kill9 | freeze | thaw [NODE]
#   kafka.sh down             end it, whatever state it is in, and delete $KAFKA_DATA
#   kafka.sh run CLASS ARG…   one of Kafka's own tools
#
# NODE is 1, 2 or 3; 1 where none is said.
#
# KAFKA_HOME   where the jars are kept (default: tests/.work/kafka)
# KAFKA_DATA   storage, logs and pids (a directory of its own)
# KAFKA_NODES  how many nodes: 1 (default) or 3
# KAFKA_BASE   first of its ports: +1 controller; node 1: +11 clients, +12 between brokers, +13
#              clients behind a proxy, which is told to them as +14, +15 clients with a password, +16
#              with a password over TLS; the next nodes 10 further each
#
# The user is `lacuna`, the password `secret`; the certificate is signed by $KAFKA_DATA/node1/ca.pem,
# which nobody else trusts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=${KAFKA_HOME:-$here/../../.work/kafka}
archive=$home/classes.jsa
# What the machine itself warns of is no tool's answer.
jvm=(java -Xlog:disable -Xlog:all=error:stderr -Xms64m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
  "-Dlog4j2.configurationFile=$here/log4j2.properties")
on_classes=(-cp "$home/lib/*")
[ ! -f "$archive" ] || on_classes=("-XX:SharedArchiveFile=$archive" "${on_classes[@]}")

fail() { echo "kafka.sh: $*" >&2; exit 1; }

nodes=${KAFKA_NODES:-1}

data() { [ -n "${KAFKA_DATA:-}" ] || fail "KAFKA_DATA is not set"; echo "$KAFKA_DATA/node$1"; }

configuration() {
  local node=$1 dir=$2 base=${KAFKA_BASE:?KAFKA_BASE is not set} roles=broker port session=1500
  local listener=""
  port=$((base + 10 * node))
  # The last node is the controller: one that no scenario kills.
  if [ "$node" = "$nodes" ]; then
    roles=broker,controller
    listener=,CONTROLLER://127.0.0.1:$((base + 1))
  fi
  # A frozen follower must stay in sync until the leader is killed.
  [ "$nodes" = 1 ] || session=6000
  cat <<END
node.id=$node
process.roles=$roles
controller.quorum.voters=$nodes@127.0.0.1:$((base + 1))
controller.listener.names=CONTROLLER
inter.broker.listener.name=INTERNAL
listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT,PASSWORD:SASL_PLAINTEXT,TLS:SASL_SSL
listeners=CLIENT://127.0.0.1:$((port + 1)),INTERNAL://127.0.0.1:$((port + 2)),PROXIED://127.0.0.1:$((port + 3)),PASSWORD://127.0.0.1:$((port + 5)),TLS://127.0.0.1:$((port + 6))$listener
advertised.listeners=CLIENT://127.0.0.1:$((port + 1)),INTERNAL://127.0.0.1:$((port + 2)),PROXIED://127.0.0.1:$((port + 4)),PASSWORD://127.0.0.1:$((port + 5)),TLS://localhost:$((port + 6))
listener.name.password.sasl.enabled.mechanisms=PLAIN
listener.name.password.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_lacuna="secret";
listener.name.tls.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.tls.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location=$dir/keystore.pem
log.dirs=$dir/log
auto.create.topics.enable=false
# Anybody may do anything, but for what a scenario denies.
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
default.replication.factor=$nodes
min.insync.replicas=$(((nodes + 1) / 2))
offsets.topic.replication.factor=$nodes
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$nodes
transaction.state.log.min.isr=$(((nodes + 1) / 2))
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$nodes
share.coordinator.state.topic.min.isr=$(((nodes + 1) / 2))
share.coordinator.state.topic.num.partitions=3
# A group forms at once, and a member that was killed is found dead soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
# The controller waits this long before it takes a killed broker back, or another leader.
broker.heartbeat.interval.ms=300
broker.session.timeout.ms=$session
replica.lag.time.max.ms=$session
replica.fetch.wait.max.ms=200
# No election but those that a scenario brings about.
auto.leader.rebalance.enable=false
# The cleaner's default buffer is a third of this heap.
log.cleaner.dedupe.buffer.size=2097152
log.cleaner.backoff.ms=500
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=500
log.segment.delete.delay.ms=500
END
}

# A killed process may stay a zombie until its parent looks: that counts as gone.
lives() { grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# Only a process that is this node's: its own storage stands in its command line.
node() {
  local dir pid
  dir=$(data "$1")
  pid=$(cat "$dir/pid" 2>/dev/null) || return 1
  lives "$pid" && grep -qa "$dir/server.properties" "/proc/$pid/cmdline" && echo "$pid"
}

wait_gone() {
  local pid=$1 tries
  for ((tries = 0; tries < 1200; tries++)); do
    lives "$pid" || return 0
    sleep 0.05
  done
  fail "process $pid does not end"
}

launch() {
  local dir
  dir=$(data "$1")
  ! node "$1" >/dev/null || fail "already running in $dir"
  : >"$dir/out"
  nohup "${jvm[@]}" "${on_classes[@]}" kafka.Kafka "$dir/server.properties" >>"$dir/out" 2>&1 </dev/null &
  echo "$!" >"$dir/pid"
}

wait_ready() {
  local dir pid tries
  dir=$(data "$1")
  pid=$(cat "$dir/pid")
  for ((tries = 0; tries < 1200; tries++)); do
    ! grep -q 'Kafka Server started' "$dir/out" || return 0
    lives "$pid" || { tail -20 "$dir/out" >&2; fail "node $1 died while starting"; }
    sleep 0.05
  done
  fail "node $1 is not ready after 60 s: see $dir/out"
}

format() {
  local dir
  dir=$(data "$1")
  mkdir -p "$dir/log"
  "$here/../certificates" "$dir" 2>"$dir/openssl.out" || fail "no certificate: see $dir/openssl.out"
  cat "$dir/tls.key" "$dir/tls.pem" >"$dir/keystore.pem"
  configuration "$1" "$dir" >"$dir/server.properties"
  # The cluster's id is any UUID in base64url; the same one keeps runs alike.
  run kafka.tools.StorageTool format -t 3q2-7wAAQACAAAAAAAAAAQ -c "$dir/server.properties" \
    --add-scram 'SCRAM-SHA-512=[name=lacuna,password=secret]' \
    >"$dir/format.out" 2>&1 || { cat "$dir/format.out" >&2; fail "the storage was not formatted"; }
}

up() {
  local node
  for ((node = 1; node <= nodes; node++)); do format "$node"; done
  for ((node = 1; node <= nodes; node++)); do launch "$node"; done
  for ((node = 1; node <= nodes; node++)); do wait_ready "$node"; done
}

run() { "${jvm[@]}" -Dkafka.log=ERROR "${on_classes[@]}" "$@"; }

fetch() {
  local wanted
  # The archive is of one Java and of one place only.
  wanted=$({ cat "$here/pom.xml"; java -version 2>&1; realpath -m "$home"; } | sha256sum)
  [ "$(cat "$home/fetched" 2>/dev/null)" != "$wanted" ] || return 0
  rm -rf "$home"
  mkdir -p "$home"
  mvn -B -ntp -q -f "$here/pom.xml" dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$home/lib"
  on_classes=("-XX:ArchiveClassesAtExit=$archive.new" -cp "$home/lib/*")
  # A start with an archive of its classes takes half the time, and the tests start many tools.
  up
  stop 1
  rm -rf "$KAFKA_DATA"
  mv "$archive.new" "$archive"
  echo "$wanted" >"$home/fetched"
}

signal() { kill "-$1" "$(node "$2" || fail "node $2 is not running")"; }

stop() {
  local pid
  pid=$(node "$1") || fail "node $1 is not running"
  kill "$pid"
  wait_gone "$pid"
}

kill9() {
  local pid
  pid=$(node "$1") || fail "node $1 is not running"
  kill -KILL "$pid"
  wait_gone "$pid"
}

down() {
  local node
  for ((node = 1; node <= nodes; node++)); do
    ! node "$node" >/dev/null || kill9 "$node"
  done
  rm -rf "$KAFKA_DATA"
}

case ${1:-} in
  fetch) nodes=1 fetch ;;
  up) up ;;
  start) launch "${2:-1}" && wait_ready "${2:-1}" ;;
  stop) stop "${2:-1}" ;;
  kill9) kill9 "${2:-1}" ;;
  freeze) signal STOP "${2:-1}" ;;
  thaw) signal CONT "${2:-1}" ;;
  run) shift; run "$@" ;;
  down) down ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
