#!/usr/bin/env bash
# What `make run CASE=categories` does; the usage says what that is.
set -euo pipefail
cd "$(dirname "$0")/../../.."
usage="usage: cases/categories/scripts/run.sh MODEL_FOLDER [options of cases/categories/scripts/train.py]

Train a model into MODEL_FOLDER, then answer POST /v1/categorize with it until Ctrl-C.

variables: ONCE=1 asks about a few products and stops (without: python cases/categories/scripts/request.py asks),
DATASET_PATH is the challenge's csv (without it: synthetic products), PORT is the API's port (5000)

exit codes: 0 answered, or after SIGTERM or Ctrl-C, 2 wrong usage, 3 the table cannot be used, 4 the folder cannot be
written, 5 the API cannot start; with ONCE=1 130 after Ctrl-C, 143 after SIGTERM"
case ${1:-} in
  -h | --help) echo "$usage"; exit ;;
  '' | -*) echo "$usage" >&2; exit 2 ;;
esac
model=$1; shift
if (: <"/dev/tcp/127.0.0.1/${PORT:-5000}") 2>/dev/null; then # better said now than after the training
  echo "Port ${PORT:-5000} is in use: stop what listens there, or choose another port with PORT=…" >&2
  exit 5
fi
python cases/categories/scripts/train.py --out "$model" "$@"
export MODEL_PATH=$model PORT=${PORT:-5000}
[ -n "${ONCE:-}" ] || exec python cases/categories/api.py

stop_api() {
  local status=$?
  trap '' INT TERM HUP
  kill "$asking" "$serving" 2>/dev/null || true
  wait "$serving" || status=$((status ? status : $?))
  exit "$status"
}

set -m # a process group for each: Ctrl-C reaches this script alone, which stops the API in its own time
HOST=127.0.0.1 python cases/categories/api.py </dev/null &
serving=$!
python cases/categories/scripts/request.py --wait 60 --url "http://127.0.0.1:$PORT" </dev/null &
asking=$!
trap stop_api EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
wait -n "$serving" "$asking" || exit # whichever ends first: an API that dies is not waited for
kill -0 "$serving" 2>/dev/null || { echo "The API ended before it answered." >&2; exit 5; }
