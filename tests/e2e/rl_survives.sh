#!/usr/bin/env bash
# Tests that a stopped run of reinforcement learning survives: Ctrl-C and SIGTERM leave a checkpoint and exit 130 and
# 143, kill -9 loses at most the steps since the last one, and a resumed run ends with the same bytes as one that was
# never stopped.
#   rl_survives.sh LORIKEET GOLDEN_MODEL_DIR
set -euo pipefail
lorikeet=$1 golden=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=2

. "$(dirname "$0")/survive.sh"

tiny_chat_model "$golden" "$work/model"
tiny_problems "$work/problems.jsonl"

# run OUT ARG...: a run long enough that a signal arrives during training, with lagging updates and with replacement of
# groups without signal.
run() {
  local out=$1
  shift
  "$lorikeet" rl --model "$work/model" --data "$work/problems.jsonl" --grader regex --output-dir "$out" --lora-r 4 \
    --prompts-per-step 4 --group-size 4 --max-tokens 3 --max-prompt-tokens 28 --max-rounds 2 --minibatches 2 \
    --max-steps 200 --save-steps 20 --save-total-limit 2 --eval-data "$work/problems.jsonl" --eval-steps 80 \
    --learning-rate 1e-2 --report-to none --quiet "$@"
}

# All figures except times.
figures() { sed -E 's/"[a-z_/]*_(seconds|per_second)":[^,}]*,?//g' "$1/metrics.jsonl"; }

same_result() {
  cmp "$work/whole/adapter_model.safetensors" "$1/adapter_model.safetensors" ||
    fail "$1: the resumed adapter differs from the uninterrupted one"
  diff <(figures "$work/whole") <(figures "$1") >&2 || fail "$1: the figures differ"
  diff -r "$work/whole/transcripts" "$1/transcripts" >&2 || fail "$1: the transcripts differ"
}

run "$work/whole" >"$work/summary"
[ "$(steps_of "$work/whole" reward)" = 200 ] || fail "the whole run did not log 200 steps"
grep -q '"sampling/rounds":2' "$work/whole/metrics.jsonl" || fail "no group was ever replaced"
grep -q '"sampling/logp_difference_max":0,' "$work/whole/metrics.jsonl" || fail "the key has another name"
if grep '"sampling/logp_difference_max"' "$work/whole/metrics.jsonl" | grep -v '"sampling/logp_difference_max":0,'; then
  fail "sampler and trainer differ"
fi

for case in "INT 130" "TERM 143" "KILL 137"; do
  set -- $case
  signal=$1 expected=$2 out=$work/$1
  run "$out" >"$work/$signal.summary" &
  pid=$!
  wait_for 50 "steps of $out" steps_of "$out" reward
  stop "$signal" "$expected" $pid
  ls -d "$out"/checkpoint-*/ >/dev/null || fail "SIG$signal left no checkpoint"
  [ -f "$out/adapter_model.safetensors" ] && fail "SIG$signal left a result although the run was not done"
  [ "$signal" = KILL ] || grep -q -- '--resume' "$work/$signal.summary" || fail "SIG$signal: the message on resuming is missing"
  run "$out" --resume >"$work/$signal.summary"
  same_result "$out"
  # The solved problems before the first step, not those before the resumed one.
  diff <(grep '^held-out' "$work/summary") <(grep '^held-out' "$work/$signal.summary") >&2 ||
    fail "SIG$signal: the summary differs"
done
# Killed before its first checkpoint, a run starts again from the beginning.
mkdir -p "$work/early" && echo '{"step":1,"reward":1}' >"$work/early/metrics.jsonl"
run "$work/early" --resume >/dev/null
same_result "$work/early"
echo "survived SIGINT, SIGTERM and SIGKILL with the same bytes"
