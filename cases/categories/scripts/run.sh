#!/usr/bin/env bash
# `make run CASE=categories` runs this; see its usage.
set -euo pipefail
cd "$(dirname "$0")/../../.."
usage="usage: cases/categories/scripts/run.sh MODEL_FOLDER [options of cases/categories/scripts/train.py]

Train a model into MODEL_FOLDER, then answer POST /v1/categorize with it until Ctrl-C.

variables: ONCE=1 asks about a few products and stops (without: python cases/categories/scripts/request.py asks),
DATASET_PATH is the challenge's csv (without it: synthetic products), PORT is the API's port (5000)

exit codes: 0 answered, or after SIGTERM or Ctrl-C, 2 wrong usage, 3 the table cannot be used, 4 the folder cannot be
written, 5 the API cannot start; with ONCE=1 130 after Ctrl-C, 143 after SIGTERM"
. scripts/serve_and_ask.sh
refuse_wrong_words "$@"
model=$1; shift
export MODEL_PATH=$model PORT=${PORT:-5000}
refuse_busy_port PORT "$PORT"
python cases/categories/scripts/train.py --out "$model" "$@"
[ -n "${ONCE:-}" ] || exec python cases/categories/api.py

serve() { HOST=127.0.0.1 exec python cases/categories/api.py; }
ask() { exec python cases/categories/scripts/request.py --wait 60 --url "http://127.0.0.1:$PORT"; }
serve_and_ask
