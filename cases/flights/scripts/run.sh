#!/usr/bin/env bash
# `make run CASE=flights` runs this; see its usage.
set -euo pipefail
cd "$(dirname "$0")/../../.."
usage="usage: cases/flights/scripts/run.sh MODEL_FOLDER [options of cases/flights/scripts/train.py]

Train a model that is asked before departure into MODEL_FOLDER, serve the API with it and with a history, ask it for
three flights, show the history, and keep serving until Ctrl-C

variables: ONCE=1 stops after the answers, PORT is the API's port (8000), TABSERVE_HISTORY the file of the history
(MODEL_FOLDER-history.db), TABSERVE_LOAD_FOLDER keeps models that clients load (MODEL_FOLDER-loaded)

exit codes: 0 answered, or after SIGTERM or Ctrl-C, 2 wrong usage, 3 the table cannot be used, 4 the folder cannot be
written, 5 the API cannot start; with ONCE=1 130 after Ctrl-C, 143 after SIGTERM"
. scripts/serve_and_ask.sh
refuse_wrong_words "$@"
model=${1%/}; shift
export MODEL_PATH=$model PORT=${PORT:-8000} HOST=${HOST:-127.0.0.1}
export TABSERVE_HISTORY=${TABSERVE_HISTORY-$model-history.db} TABSERVE_LOAD_FOLDER=${TABSERVE_LOAD_FOLDER-$model-loaded}
refuse_busy_port PORT "$PORT"
python cases/flights/scripts/train.py --asked before --out "$model" "$@"
rm -f "$TABSERVE_LOAD_FOLDER/current" # the new model counts, not one that a client has loaded before

serve() { exec python cases/flights/api.py; }
ask() {
  exec python cases/flights/scripts/request.py --wait 60 --url "http://127.0.0.1:$PORT" ${TABSERVE_HISTORY:+--history 5}
}
serve_and_ask
[ -n "${ONCE:-}" ] || { echo "Serving $model at http://127.0.0.1:$PORT; Ctrl-C stops it."; wait "$serving"; }
