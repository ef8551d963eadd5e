#!/usr/bin/env bash
# Runs `make run`; see the usage below.
set -euo pipefail
cd "$(dirname "$0")/.."
usage="usage: scripts/run.sh MODEL_FOLDER [options of scripts/train.py]

Train a model into MODEL_FOLDER, serve it, ask it for predictions, and keep serving until Ctrl-C.

variables: ONCE=1 stops after the answers, DATA=FILE asks about the first 10 rows of FILE (training takes --data FILE),
MLSERVER_HTTP_PORT, MLSERVER_GRPC_PORT and MLSERVER_METRICS_PORT are the server's ports (8080, 8081, 8082)

exit codes: 0 answered, 2 wrong usage, 3 the table cannot be used, 4 the folder cannot be written, 5 the server cannot
start, 130 Ctrl-C, 143 SIGTERM"
. scripts/serve_and_ask.sh
refuse_wrong_words "$@"
python -c 'import tabserve' 2>/dev/null || {
  echo "This Python has no tabserve: use 'make run', or 'make setup' and 'source .venv/bin/activate' first." >&2
  exit 2
}
model=$1 log=${1%/}.log; shift
export MLSERVER_HOST=${MLSERVER_HOST:-127.0.0.1} # a first try is not served to other machines
host=${MLSERVER_HOST/#0.0.0.0/127.0.0.1}
http=${MLSERVER_HTTP_PORT:-8080} grpc=${MLSERVER_GRPC_PORT:-8081} metrics=${MLSERVER_METRICS_PORT:-8082}
rows=() about="10 synthetic rows, none of which the model was trained on"
case ${DATA:-} in '' | *.zip) ;; *)
  rows=(--data "$DATA" --rows 10) about="the first 10 rows of $DATA, some of which the model may have been trained on" ;;
esac

if [ "${DATA:-}" -ef "$log" ]; then
  echo "$log is the table that is read, and the server's log would replace it: name another folder by OUT=." >&2
  exit 2
fi

refuse_busy_port MLSERVER_HTTP_PORT "$http"
refuse_busy_port MLSERVER_GRPC_PORT "$grpc"
refuse_busy_port MLSERVER_METRICS_PORT "$metrics"
python scripts/train.py --out "$model" "$@"

serve() { exec python -m tabserve serve deploy --model "$model" >"$log" 2>&1; }
ask() { exec python scripts/request.py --wait 60 --url "http://$host:$http" "${rows[@]}"; }
echo "Starting the server; its log is $log."
echo "Asking about $about:"
serve_and_ask
if [ -z "${ONCE:-}" ]; then
  echo "Serving $model at http://$host:$http (gRPC $grpc, metrics $metrics); Ctrl-C stops it."
  wait "$serving"
fi
