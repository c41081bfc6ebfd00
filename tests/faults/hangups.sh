#!/usr/bin/env bash
# Tests what a run does when its surroundings go away: a terminal that closes, closed standard streams, a limit on the
# size of files, a base model that is cut short, a second run in its folder, a reward program that ends at once.
#   hangups.sh LORIKEET GOLDEN_MODEL_DIR
set -euo pipefail
lorikeet=$(realpath "$1") golden=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export OMP_NUM_THREADS=1
. "$(dirname "$0")/../e2e/survive.sh"

awk 'BEGIN { srand(1); for (i = 0; i < 40; ++i) { printf "{\"tokens\":["; n = 8 + int(rand() * 60)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", int(rand() * 90); print "]}" } }' >"$work/data.jsonl"
tiny_chat_model "$golden" "$work/chat"
tiny_problems "$work/problems.jsonl"

# sft OUT ARG...
sft() {
  local out=$1
  shift
  "$lorikeet" sft --model "${model:-$golden}" --data "$work/data.jsonl" --output-dir "$out" --lora-r 2 --batch-size 4 \
    --max-steps "${steps:-400}" --learning-rate 1e-3 --report-to none "$@"
}
# one_line STATUS EXPECTED TEXT: the last command's status, and its message in $work/err.
one_line() {
  [ "$1" = "$2" ] || fail "status $1 instead of $2: $(cat "$work/err")"
  grep -q "^lorikeet: error: .*$3" "$work/err" || fail "no '$3' in: $(cat "$work/err")"
}

# A terminal that closes sends SIGHUP, and its shell does too.
sft "$work/hup" --quiet >/dev/null &
pid=$!
wait_for 30 "steps" steps_of "$work/hup" loss
stop HUP 129 $pid
ls -d "$work"/hup/checkpoint-*/ >/dev/null || fail "SIGHUP left no checkpoint"
sft "$work/hup" --quiet --resume >/dev/null

# A second run in the folder of a running one is refused, and the first is not disturbed.
sft "$work/one" --quiet >/dev/null &
pid=$!
wait_for 5 "steps" steps_of "$work/one" loss
for option in --resume --overwrite; do
  status=0
  sft "$work/one" --quiet $option >/dev/null 2>"$work/err" || status=$?
  one_line $status 1 "process [0-9]* is working in it"
done
wait $pid || fail "a run that was not alone failed"
cmp "$work/one/adapter_model.safetensors" "$work/hup/adapter_model.safetensors" || fail "two runs disturbed each other"

# With closed standard streams no file gets their numbers.
steps=8 sft "$work/closed" <&- 2>&- >/dev/null || fail "closed stdin and stderr"
[ "$(grep -c '^{"step":' "$work/closed/metrics.jsonl")" = "$(wc -l <"$work/closed/metrics.jsonl")" ] ||
  fail "progress was written into metrics.jsonl"
status=0
steps=8 sft "$work/closed_out" --quiet >&- 2>"$work/err" || status=$?
one_line $status 1 "cannot write the output"

# A limit on the size of files is an error, not a signal.
status=0
(ulimit -f 8; sft "$work/limit" --quiet >/dev/null 2>"$work/err") || status=$?
one_line $status 1 "File too large"

# A base that is cut short while full fine-tuning reads it again is named.
cp -r "$golden" "$work/base"
model=$work/base sft "$work/cut" --method full --save-steps 60 --quiet >/dev/null 2>"$work/err" &
pid=$!
wait_for 2 "steps" steps_of "$work/cut" loss
truncate -s 1000 "$work/base/model.safetensors"
status=0
wait $pid || status=$?
one_line $status 1 "model.safetensors: cannot be read any more"

# rl OUT COMMAND: a run whose rewards come from a command.
rl() {
  "$lorikeet" rl --model "$work/chat" --data "$work/problems.jsonl" --grader none --output-dir "$1" --reward-command "$2" \
    --lora-r 2 --prompts-per-step 2 --group-size 4 --max-tokens 3 --max-steps "${steps:-4}" --learning-rate 1e-2 \
    --report-to none --quiet
}
reply='while read -r line; do id=${line#*:}; id=${id%%,*}; n=$((n+1)); echo "{\"id\":$id,\"reward\":REWARD}"; done'
status=0
rl "$work/ends" 'exit 3' >/dev/null 2>"$work/err" || status=$?
one_line $status 1 "the reward command ended (status 3)"
status=0
rl "$work/text" "${reply/REWARD/\\\"0.5\\\"}" >/dev/null 2>"$work/err" || status=$?
one_line $status 1 "its reward is text, not a number"
status=0
rl "$work/flat" "${reply/REWARD/0.5}" >/dev/null 2>"$work/err" || status=$?
one_line $status 1 "nothing was learned in 4 steps"
choose='case $n in *[0369]) r=true ;; *) r=false ;; esac; echo'
booleans=${reply/echo/$choose}
rl "$work/bools" "${booleans/REWARD/\$r}" >/dev/null || fail "true and false"

# A trainer that is killed takes its reward command with it.
steps=1000000 rl "$work/orphan" "echo \$\$ >$work/pid; ${reply/REWARD/0.\$n}; sleep 1000" >/dev/null 2>&1 &
trainer=$!
wait_for 1 "the command" sh -c "cat $work/pid 2>/dev/null | wc -l"
wait_for 3 "steps" steps_of "$work/orphan" reward
stop KILL 137 $trainer
command=$(cat "$work/pid")
# Nobody may be there to wait for an orphan that has ended.
alive() { [ -e "/proc/$1" ] && ! grep -q ') Z ' "/proc/$1/stat" 2>/dev/null; }
for _ in $(seq 400); do
  alive "$command" || break
  sleep 0.02
done
alive "$command" && fail "the reward command outlives its trainer"
echo "hangups were survived or named"
