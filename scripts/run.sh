#!/usr/bin/env bash
# What `make run` does: train a model, serve it, ask it for predictions, keep serving until Ctrl-C (ONCE=1: then stop).
# usage: scripts/run.sh MODEL_FOLDER [options of scripts/train.py]
set -euo pipefail
cd "$(dirname "$0")/.."
model=$1; shift
export MLSERVER_HOST=${MLSERVER_HOST:-127.0.0.1} # a first try is nobody else's business
host=${MLSERVER_HOST/#0.0.0.0/127.0.0.1}
http=${MLSERVER_HTTP_PORT:-8080} grpc=${MLSERVER_GRPC_PORT:-8081} metrics=${MLSERVER_METRICS_PORT:-8082}

refuse_busy_port() { # variable port: better said now than after the training
  if (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
    echo "Port $2 is in use: stop the server that listens there, or choose another port with $1=PORT make run." >&2
    exit 5
  fi
}

stop_server() {
  local status=$?
  trap '' INT TERM HUP
  kill "$asking" "$serving" 2>/dev/null || true
  wait "$serving" || status=$((status ? status : $?))
  exit "$status"
}

refuse_busy_port MLSERVER_HTTP_PORT "$http"
refuse_busy_port MLSERVER_GRPC_PORT "$grpc"
refuse_busy_port MLSERVER_METRICS_PORT "$metrics"
python scripts/train.py "$@"

set -m # a process group for each: Ctrl-C reaches this script alone, which stops the server in its own time
tabserve serve deploy --model "$model" </dev/null &
serving=$!
case ${DATA:-} in '' | *.zip) rows=() ;; *) rows=(--data "$DATA" --rows 10) ;; esac
python scripts/request.py --wait 60 --url "http://$host:$http" "${rows[@]}" </dev/null &
asking=$!
trap stop_server EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wait -n "$serving" "$asking" || exit # whichever ends first: a server that dies is not waited for
kill -0 "$serving" 2>/dev/null || { echo "The server ended before it answered." >&2; exit 5; }
if [ -z "${ONCE:-}" ]; then
  echo "Serving $model at http://$host:$http (gRPC $grpc, metrics $metrics); Ctrl-C stops it."
  wait "$serving"
fi
