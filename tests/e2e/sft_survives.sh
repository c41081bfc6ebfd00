#!/usr/bin/env bash
# Tests that a stopped run survives: Ctrl-C and SIGTERM leave a checkpoint and exit 130 and 143, kill -9 loses at most
# the steps since the last one, and a resumed run ends with the same bytes as one that was never stopped.
#   sft_survives.sh LORIKEET GOLDEN_MODEL_DIR
set -euo pipefail
lorikeet=$1 model=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=2

. "$(dirname "$0")/survive.sh"

awk 'BEGIN { srand(1); for (i = 0; i < 40; ++i) { printf "{\"tokens\":["; n = 8 + int(rand() * 60)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", int(rand() * 90); print "]}" } }' >"$work/data.jsonl"

# run OUT ARG...: a run long enough that a signal arrives during training.
run() {
  local out=$1
  shift
  "$lorikeet" sft --model "$model" --data "$work/data.jsonl" --output-dir "$out" --lora-r 4 --batch-size 4 \
    --max-steps 400 --save-steps 20 --save-total-limit 2 --learning-rate 1e-3 --report-to none --quiet "$@"
}

same_result() {
  cmp "$work/whole/adapter_model.safetensors" "$1/adapter_model.safetensors" ||
    fail "$1: the resumed adapter differs from the uninterrupted one"
  diff <(grep -o '"loss":[^,}]*' "$work/whole/metrics.jsonl") <(grep -o '"loss":[^,}]*' "$1/metrics.jsonl") >&2 ||
    fail "$1: the losses differ"
}

run "$work/whole"
[ "$(steps_of "$work/whole" loss)" = 400 ] || fail "the whole run did not log 400 steps"

for case in "INT 130" "TERM 143" "KILL 137"; do
  set -- $case
  signal=$1 expected=$2 out=$work/$1
  run "$out" &
  pid=$!
  wait_for 50 "steps of $out" steps_of "$out" loss
  stop "$signal" "$expected" $pid
  ls -d "$out"/checkpoint-*/ >/dev/null || fail "SIG$signal left no checkpoint"
  [ -f "$out/adapter_model.safetensors" ] && fail "SIG$signal left a result although the run was not done"
  run "$out" --resume
  same_result "$out"
done
# Killed before its first checkpoint, a run starts again from the beginning.
mkdir -p "$work/early" && echo '{"step":1,"loss":1}' >"$work/early/metrics.jsonl"
run "$work/early" --resume
same_result "$work/early"
echo "survived SIGINT, SIGTERM and SIGKILL with the same bytes"
