#!/usr/bin/env bash
# What must hold of a study: stopped or killed, with several processes or one, the same command goes on and ends with
# the same runs to the last bit and the same findings; finished runs are not made again; reports come from runs alone.
#   study_survives.sh LORIKEET GOLDEN_MODEL_DIR
set -euo pipefail
lorikeet=$1 model=$2
work=$(mktemp -d)
trap 'status=$?; [ $status = 0 ] || cat "$work"/*.log >&2; rm -rf "$work"' EXIT  # what the studies said
export OMP_NUM_THREADS=1  # processes share the machine with other tests

. "$(dirname "$0")/survive.sh"

# Sequences that can be learned: counting on from a start, by a step.
awk 'BEGIN { srand(1); for (i = 0; i < 60; ++i) { printf "{\"tokens\":["; a = int(rand() * 90); n = 8 + int(rand() * 24)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", (a + 3 * j) % 90; print "]}" } }' >"$work/data.jsonl"

run() {
  local out=$1
  shift
  "$lorikeet" study lr --model "$model" --data "$work/data.jsonl" --eval-split 0.2 --output-dir "$out" --ranks 2 \
    --steps 120 --batch-size 8 --seeds 2 --lr-points 3 --eval-points 4 --quiet "$@" >"$out.log" 2>&1
}

finished() { find "$1/runs" -name result.json 2>/dev/null | wc -l; }

# What decides numbers: losses of every step and evaluation.
numbers() { (cd "$1/runs" && grep -o '"step":[^,]*\|"loss":[^,}]*\|"eval_loss":[^,}]*' -r . --include metrics.jsonl | sort); }
findings() { sed 's/"study":.*//' "$1/claims.json"; }

same_study() {
  diff <(numbers "$work/whole") <(numbers "$1") >&2 || fail "$1: runs differ"
  diff <(findings "$work/whole" | grep -v '"study"') <(findings "$1" | grep -v '"study"') >&2 ||
    fail "$1: findings differ"
}

run "$work/whole" || fail "the whole study"
[ "$(finished "$work/whole")" -ge 12 ] || fail "the whole study has too few runs"
for file in report.html claims.json runs.jsonl lr/findings.json lr/lr_loss.csv; do
  [ -s "$work/whole/$file" ] || fail "$file is missing"
done

for case in "TERM 143 1" "TERM 143 2" "KILL 137 2"; do
  set -- $case
  signal=$1 expected=$2 jobs=$3 out=$work/$1$3
  run "$out" --jobs "$jobs" &
  pid=$!
  wait_for 3 "finished runs of $out" finished "$out"
  stop "$signal" "$expected" $pid
  [ -e "$out/report.html" ] && fail "SIG$signal left a report although the study was not done"
  run "$out" --jobs "$jobs" || fail "SIG$signal: it did not go on"
  same_study "$out"
done

# Again: nothing is made. Reports are made from the runs.
touch "$work/before"
run "$work/whole"
[ -z "$(find "$work/whole/runs" -newer "$work/before" -name '*.json*')" ] || fail "finished runs were made again"
mv "$work/whole/report.html" "$work/report.html"
cp "$work/whole/claims.json" "$work/claims.json"
"$lorikeet" study report "$work/whole" >/dev/null
cmp "$work/report.html" "$work/whole/report.html" || fail "the report made anew differs"
"$lorikeet" study claims "$work/whole" | cmp - "$work/claims.json" || fail "claims differ from those of the study"
echo "a study survived SIGTERM and SIGKILL with the same runs and findings"
