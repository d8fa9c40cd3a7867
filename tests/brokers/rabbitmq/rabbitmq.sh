#!/usr/bin/env bash
# One real RabbitMQ node on loopback ports, from Debian's package rabbitmq-server.
#
#   rabbitmq.sh up            start with empty storage in $RABBITMQ_DATA, wait until it serves
#   rabbitmq.sh start         start again on the same storage, wait until it serves
#   rabbitmq.sh stop | kill9 | freeze | thaw
#   rabbitmq.sh down          end it, whatever state it is in, and delete $RABBITMQ_DATA
#   rabbitmq.sh run ARG…      rabbitmqctl, to this node
#
# RABBITMQ_DATA  storage, log and pid of this node (a directory of its own)
# RABBITMQ_PORT  first of its ports: clients, +1 management, +2 Prometheus, +3 clients over TLS, +4 epmd,
#                +5 between nodes, +6 to +9 rabbitmqctl
#
# The certificate of its TLS is signed by $RABBITMQ_DATA/ca.pem, which nobody else trusts.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=/usr/lib/rabbitmq/bin

fail() { echo "rabbitmq.sh: $*" >&2; exit 1; }

dir=${RABBITMQ_DATA:-}
port=${RABBITMQ_PORT:-}

# Nothing of the machine's own node is used: not its cookie, its epmd, its configuration.
surroundings() {
  [ -n "$dir" ] || fail "RABBITMQ_DATA is not set"
  [ -n "$port" ] || fail "RABBITMQ_PORT is not set"
  export HOME=$dir ERL_EPMD_PORT=$((port + 4)) ERL_EPMD_ADDRESS=127.0.0.1
  export RABBITMQ_NODENAME=lacuna$port@localhost
  export RABBITMQ_BASE=$dir RABBITMQ_MNESIA_BASE=$dir/mnesia RABBITMQ_LOG_BASE=$dir/log
  export RABBITMQ_PID_FILE=$dir/node.pid RABBITMQ_ENABLED_PLUGINS_FILE=$dir/enabled_plugins
  export RABBITMQ_CONFIG_FILE=$dir/rabbitmq.conf RABBITMQ_ADVANCED_CONFIG_FILE=$dir/advanced.config
  export RABBITMQ_GENERATED_CONFIG_DIR=$dir/config RABBITMQ_SCHEMA_DIR=$dir/schema
  export RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_DIST_PORT=$((port + 5))
  export RABBITMQ_CTL_DIST_PORT_MIN=$((port + 6)) RABBITMQ_CTL_DIST_PORT_MAX=$((port + 9))
  # No busy waiting: others share these cores.
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
}

configuration() {
  cat <<END
listeners.tcp.1 = 127.0.0.1:$port
listeners.ssl.1 = 127.0.0.1:$((port + 3))
ssl_options.cacertfile = $dir/ca.pem
ssl_options.certfile = $dir/tls.pem
ssl_options.keyfile = $dir/tls.key
management.tcp.ip = 127.0.0.1
management.tcp.port = $((port + 1))
prometheus.tcp.ip = 127.0.0.1
prometheus.tcp.port = $((port + 2))
loopback_users = none
collect_statistics_interval = 1000
disk_free_limit.absolute = 50MB
log.file.level = info
END
}

# A killed process may stay a zombie until its parent looks: that counts as gone.
lives() { grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null; }

# Only a process that is this node's: its own storage stands in its environment.
own() {
  local pid
  pid=$(cat "$dir/$1" 2>/dev/null) || return 1
  lives "$pid" && grep -qaz "^HOME=$dir\$" "/proc/$pid/environ" && echo "$pid"
}

node() { own node.pid; }

wait_gone() {
  local pid=$1 tries
  for ((tries = 0; tries < 1200; tries++)); do
    lives "$pid" || return 0
    sleep 0.05
  done
  fail "process $pid does not end"
}

# The broker answers a client's first bytes with Connection.Start, a frame of type 1.
serves() {
  local answer
  answer=$( (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'AMQP\0\0\11\1' >&3 &&
    timeout 2 head -c1 <&3 | od -An -tx1) 2>/dev/null | tr -d ' ') || return 1
  [ "$answer" = 01 ]
}

manages() { (: <"/dev/tcp/127.0.0.1/$((port + 1))") 2>/dev/null; }

start() {
  local pid tries
  ! node >/dev/null || fail "already running in $dir"
  # An epmd of its own: one that the node starts would outlive it.
  if ! own epmd.pid >/dev/null; then
    setsid epmd >"$dir/log/epmd" 2>&1 </dev/null &
    echo $! >"$dir/epmd.pid"
  fi
  rm -f "$dir/node.pid"
  setsid "$bin/rabbitmq-server" >"$dir/log/out" 2>&1 </dev/null &
  pid=$!
  for ((tries = 0; tries < 600; tries++)); do
    if node >/dev/null && serves && manages; then return 0; fi
    lives "$pid" || { tail -20 "$dir/log/out" >&2; fail "the node died while starting"; }
    sleep 0.1
  done
  fail "the node is not ready after 60 s: see $dir/log/out"
}

up() {
  mkdir -p "$dir"/{mnesia,log,config,schema}
  echo "lacuna$port" >"$dir/.erlang.cookie"
  chmod 400 "$dir/.erlang.cookie"
  echo "[rabbitmq_management,rabbitmq_prometheus,rabbitmq_shovel]." >"$dir/enabled_plugins"
  "$here/../certificates" "$dir" 2>"$dir/log/openssl" || fail "no certificate: see $dir/log/openssl"
  configuration >"$dir/rabbitmq.conf"
  start
}

signal() { kill "-$1" "$(node || fail "not running")"; }

end() {
  local pid
  pid=$(node) || fail "not running"
  kill "-$1" "$pid"
  wait_gone "$pid"
}

case ${1:-} in up | start | stop | kill9 | freeze | thaw | down | run) surroundings ;; esac
case ${1:-} in
  up) up ;;
  start) start ;;
  stop) end TERM ;;
  kill9) end KILL ;;
  freeze) signal STOP ;;
  thaw) signal CONT ;;
  run) shift; exec "$bin/rabbitmqctl" "$@" ;;
  down)
    ! node >/dev/null || end KILL
    if epmd=$(own epmd.pid); then kill "$epmd"; fi
    rm -rf "$dir"
    ;;
  *) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 64 ;;
esac
