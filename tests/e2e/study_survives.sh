#!/usr/bin/env bash
# Tests that a stopped or killed study survives, with several processes or one: the same command resumes and ends with
# the same runs to the last bit and the same findings; finished runs are not executed again; reports depend on runs
# alone.
#   study_survives.sh LORIKEET GOLDEN_MODEL_DIR
set -euo pipefail
lorikeet=$1 model=$2
work=$(mktemp -d)
trap 'status=$?; [ $status = 0 ] || cat "$work"/*.log >&2; rm -rf "$work"' EXIT  # output of the studies
export OMP_NUM_THREADS=1  # processes share the machine with other tests

. "$(dirname "$0")/survive.sh"

# Sequences that can be learned: arithmetic progressions.
awk 'BEGIN { srand(1); for (i = 0; i < 60; ++i) { printf "{\"tokens\":["; a = int(rand() * 90); n = 8 + int(rand() * 24)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", (a + 3 * j) % 90; print "]}" } }' >"$work/data.jsonl"

tiny_chat_model "$model" "$work/model"
tiny_problems "$work/problems.jsonl"

# run OUT ARG...: a study of the experiment $experiment.
run() {
  local out=$1
  shift
  "run_$experiment" "$out" "$@" >"$out.log" 2>&1
}

run_lr() {
  local out=$1
  shift
  "$lorikeet" study lr --model "$model" --data "$work/data.jsonl" --eval-split 0.2 --output-dir "$out" --ranks 2 \
    --steps 120 --batch-size 8 --seeds 2 --lr-points 3 --eval-points 4 --quiet "$@"
}

run_rl() {
  local out=$1
  shift
  "$lorikeet" study rl --model "$work/model" --data "$work/problems.jsonl" --grader regex --eval-split 0.2 \
    --output-dir "$out" --ranks 1 --steps 30 --seeds 2 --lr-points 3 --eval-points 3 --prompts-per-step 4 \
    --group-size 4 --max-tokens 8 --max-prompt-tokens 30 --save-steps 4 --quiet "$@"
}

finished() { find "$1/runs" -name result.json 2>/dev/null | wc -l; }

# All results: losses of every step and evaluation.
numbers() {
  (cd "$1/runs" && grep -o '"\(step\|loss\|eval_loss\|reward\|eval_accuracy\|grad_norm\)":[^,}]*' -r . --include metrics.jsonl | sort)
}
findings() { sed 's/"study":.*//' "$1/claims.json"; }

same_study() {
  diff <(numbers "$whole") <(numbers "$1") >&2 || fail "$1: runs differ"
  diff <(findings "$whole" | grep -v '"study"') <(findings "$1" | grep -v '"study"') >&2 ||
    fail "$1: findings differ"
}

# survives EXPERIMENT CASE...: a case is a signal, the expected exit status, and the number of processes.
survives() {
  experiment=$1 whole=$work/$1-whole
  shift
  run "$whole" || fail "the whole study $experiment"
  [ "$(finished "$whole")" -ge 12 ] || fail "the whole study $experiment has too few runs"
  for file in report.html claims.json runs.jsonl "$experiment/findings.json"; do
    [ -s "$whole/$file" ] || fail "$file is missing"
  done
  for case in "$@"; do
    set -- $case
    local signal=$1 expected=$2 jobs=$3 out=$work/$experiment-$1$3
    run "$out" --jobs "$jobs" &
    local pid=$!
    wait_for 3 "finished runs of $out" finished "$out"
    stop "$signal" "$expected" $pid
    [ -e "$out/report.html" ] && fail "SIG$signal left a report although the study was not done"
    run "$out" --jobs "$jobs" || fail "SIG$signal: it did not resume"
    same_study "$out"
  done
}

survives rl "TERM 143 2" "KILL 137 1"
survives lr "TERM 143 1" "TERM 143 2" "KILL 137 2"
[ -s "$whole/lr/lr_loss.csv" ] || fail "lr_loss.csv is missing"

# Again: no run is executed. Reports are written from the runs.
touch "$work/before"
run "$whole"
[ -z "$(find "$whole/runs" -newer "$work/before" -name '*.json*')" ] || fail "finished runs were executed again"
mv "$whole/report.html" "$work/report.html"
cp "$whole/claims.json" "$work/claims.json"
"$lorikeet" study report "$whole" >/dev/null
cmp "$work/report.html" "$whole/report.html" || fail "the report written again differs"
"$lorikeet" study claims "$whole" | cmp - "$work/claims.json" || fail "claims differ from those of the study"
echo "a study survived SIGTERM and SIGKILL with the same runs and findings"
