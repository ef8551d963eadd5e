# The part that every case's run.sh shares and sources: start a server, ask it for predictions, stop it.
# A run.sh defines `usage`, the functions `serve` and `ask`, each of which replaces itself with its program by `exec`,
# and optionally `log`, the file of the server's log.

refuse_wrong_words() { # prints the usage and exits, unless the first word is a folder
  case ${1:-} in
    -h | --help) echo "$usage"; exit ;;
    '' | -*) echo "$usage" >&2; exit 2 ;;
  esac
}

refuse_busy_port() { # variable, port: exits before the training if something listens at the port
  if (: <"/dev/tcp/127.0.0.1/$2") 2>/dev/null; then
    echo "Port $2 is in use: stop the server that listens there, or choose another port with $1=PORT make run." >&2
    exit 5
  fi
}

serve_and_ask() { # returns after the answers; the server is stopped when the script ends
  set -m # a process group for each: Ctrl-C reaches only this script, whose traps stop the server
  serve </dev/null &
  serving=$!
  ask </dev/null &
  asking=$!
  trap stop_server EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  wait -n "$serving" "$asking" || exit # returns as soon as one of them ends, so that a dead server ends the wait
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
