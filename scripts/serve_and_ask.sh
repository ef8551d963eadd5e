# What every case's run.sh does, which sources this file: take a model folder, start a server, ask it, stop it.
# The case gives: `usage`, the functions `serve` and `ask`, each of which becomes its program by `exec`, and perhaps
# `log`, the file that the server writes to.

refuse_wrong_words() { # unless the first word is a folder
  case ${1:-} in
    -h | --help) echo "$usage"; exit ;;
    '' | -*) echo "$usage" >&2; exit 2 ;;
  esac
}

refuse_busy_port() { # variable port: better said now than after the training
  if (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
    echo "Port $2 is in use: stop the server that listens there, or choose another port with $1=PORT make run." >&2
    exit 5
  fi
}

serve_and_ask() { # returns once the answers are there; the server is stopped when the script ends
  set -m # a process group for each: Ctrl-C reaches this script alone, which stops the server in its own time
  serve </dev/null &
  serving=$!
  ask </dev/null &
  asking=$!
  trap stop_server EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  wait -n "$serving" "$asking" || exit # whichever ends first: a server that dies is not waited for
  kill -0 "$serving" 2>/dev/null || { echo "The server ended before it answered." >&2; exit 5; }
}

stop_server() {
  local status=$?
  trap '' INT TERM HUP
  kill "$asking" "$serving" 2>/dev/null || true
  wait "$serving" || status=$((status ? status : $?))
  case ${log:+$status} in '' | 0 | 130 | 143) ;; *) echo "The end of the server's log, $log:" >&2; tail -n 20 "$log" >&2 ;; esac
  exit "$status"
}
