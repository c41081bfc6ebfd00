#!/usr/bin/env bash
# Tests that runs survive faults: for each kind of run a fault at its file operations, then the resumed run must end
# with the bytes of an undisturbed one and leave nothing else behind.
#   faults.sh LORIKEET GOLDEN_MODEL_DIR FAULT_POINTS SHIM [POINTS]
# POINTS: how many operations to try for each kind of run and of fault; without it all of them, which takes hours.
set -euo pipefail
lorikeet=$(realpath "$1") golden=$(realpath "$2") driver=$(realpath "$3") shim=$(realpath "$4") points=${5:-0}
here=$(realpath "$(dirname "$0")")
memory=/dev/shm  # syncs cost nothing there
[ -w "$memory" ] || memory=${TMPDIR:-/tmp}
work=$(mktemp -d "$memory/lorikeet_faults.XXXXXX")
trap 'rm -rf "$work"' EXIT
. "$here/../e2e/survive.sh"

awk 'BEGIN { srand(1); for (i = 0; i < 24; ++i) { printf "{\"tokens\":["; a = int(rand() * 90); n = 8 + int(rand() * 12)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", (a + 3 * j) % 90; print "]}" } }' >"$work/data.jsonl"
awk 'BEGIN { for (i = 0; i < 30; ++i) printf "{\"text\":\"row %d says a b c d e f g h\"}\n", i }' >"$work/text.jsonl"
tiny_chat_model "$golden" "$work/chat"
tiny_problems "$work/problems.jsonl"

failed=0
# points_of RUN RESUME POINTS COMMAND...
points_of() {
  local run=$1 resume=$2 points=$3
  shift 3
  printf '%-9s' "$run"
  "$driver" --shim "$shim" --out "$work/$run/out" --points "$points" --resume "$resume" \
    --modes "${FAULT_MODES:-kill,torn,cut-strict,cut-random,enospc,eio,short}" -- "$@" || failed=1
  rm -rf "${work:?}/$run"
}

common=(--output-dir OUT --save-steps 2 --save-total-limit 1 --quiet)
sft=(sft --model "$golden" --data "$work/data.jsonl" --batch-size 4 --eval-split 0.2 --eval-steps 2 "${common[@]}")
declare -A runs=(
  [sft]="${sft[*]} --max-steps 6 --lora-r 2 --target-modules q_proj --learning-rate 2e-2"
  [full]="${sft[*]} --max-steps 4 --method full --learning-rate 3e-2 --load-best-model-at-end"
  [rl]="rl --model $work/chat --data $work/problems.jsonl --grader regex --prompts-per-step 2 --group-size 4 --max-tokens 3
    --max-prompt-tokens 28 --max-rounds 2 --max-steps 4 --lora-r 2 --target-modules q_proj --learning-rate 1e-2
    --eval-data $work/problems.jsonl --eval-steps 2 ${common[*]}"
  [pretrain]="pretrain --config-name $golden/config.json --tokenizer-name $work/chat --data $work/text.jsonl
    --max-length 32 --batch-size 4 --max-steps 4 --eval-split 0.1 --eval-steps 2 ${common[*]}"
  [study]="study lr --model $golden --data $work/data.jsonl --eval-split 0.2 --output-dir OUT --ranks 1
    --target-modules q_proj --steps 4 --short-steps 2 --batch-size 4 --seeds 1 --lr-points 3 --eval-points 2
    --save-steps 2 --quiet"
)
for run in ${FAULT_RUNS:-sft full rl pretrain study}; do
  resume=--resume of_run=$points
  # A study takes ten times as long.
  [ "$run" = study ] && resume= && of_run=$(((points + 2) / 3))
  read -r -a words <<<"$(tr '\n' ' ' <<<"${runs[$run]//OUT/$work/$run/out}")"
  points_of "$run" "$resume" "$of_run" "$lorikeet" "${words[@]}"
done
exit $failed
