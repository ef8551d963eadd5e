#!/usr/bin/env bash
# What `make run CASE=categories` does; the usage says what that is.
set -euo pipefail
cd "$(dirname "$0")/../../.."
usage="usage: cases/categories/scripts/run.sh MODEL_FOLDER [options of cases/categories/scripts/train.py]

Train a model into MODEL_FOLDER, then answer POST /v1/categorize with it until Ctrl-C.

variables: DATASET_PATH is the challenge's csv (without it: synthetic products), PORT is the API's port (5000)

exit codes: 0 after SIGTERM or Ctrl-C, 2 wrong usage, 3 the table cannot be used, 4 the folder cannot be written, 5 the
API cannot start"
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
MODEL_PATH="$model" exec python cases/categories/api.py
