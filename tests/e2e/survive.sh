# Sourced by the tests of what survives when a command is stopped.

fail() { echo "FAILED: $*" >&2; exit 1; }

# steps_of OUT KEY: lines of its metrics that have the key.
steps_of() { cat "$1/metrics.jsonl" 2>/dev/null | grep -c "\"$2\"" || true; }

# wait_for COUNT WHAT COMMAND...: until the command prints COUNT or more; what it counts must still be going on.
wait_for() {
  local count=$1 what=$2
  shift 2
  for _ in $(seq 2400); do
    [ "$("$@")" -ge "$count" ] && return 0
    sleep 0.05
  done
  fail "$what: never came to $count"
}

# stop SIGNAL STATUS PID: stops a command started in the background, which must end with that status.
stop() {
  local signal=$1 expected=$2 pid=$3 status=0
  pkill -"$signal" -P "$pid" 2>/dev/null || kill -"$signal" "$pid"
  wait "$pid" || status=$?
  [ "$status" = "$expected" ] || fail "SIG$signal: exit status $status, expected $expected"
}
