#!/usr/bin/env bash
# Rank 1, rank 16 and full fine-tuning on one task, each at several learning rates, from the same seeds and with the
# same budget: the runs behind docs/rl/. Finished runs are not repeated, stopped ones are resumed.
#   rl_learning.sh [MODEL [OUT]]
# Environment variables TASK, DIFFICULTY, STEPS, SEEDS, LORA_RATES, FULL_RATES change the runs.
set -euo pipefail
cd "$(dirname "$0")/.."
model=${1:-out/quickstart/model} out=${2:-out/rl_learning}
lorikeet=${LORIKEET:-build/release/lorikeet}
task=${TASK:-sort_numbers} difficulty=${DIFFICULTY:-2} steps=${STEPS:-40}
read -ra seeds <<<"${SEEDS:-1}"
read -ra lora_rates <<<"${LORA_RATES:-1e-4 3e-4 1e-3}"
read -ra full_rates <<<"${FULL_RATES:-1e-5 3e-5 1e-4}"

# run NAME RATE SEED OPTION...
run() {
  local dir=$out/$1-lr$2-seed$3 rate=$2 seed=$3
  shift 3
  [ -f "$dir/train_summary.json" ] && return 0
  echo "== $dir"
  "$lorikeet" rl "$model" --task "$task" --difficulty "$difficulty" --max-tokens 20 --max-steps "$steps" \
    --learning-rate "$rate" --seed "$seed" --eval-steps 10 --eval-problems 256 --eval-samples 1 --save-steps 10 \
    --save-total-limit 1 --report-to none --resume --output-dir "$dir" "$@" || echo "$dir: failed, kept as it is" >&2
  rm -rf "$dir"/checkpoint-* "$dir"/model*.safetensors  # only the curves are kept
}

for seed in "${seeds[@]}"; do
  for rate in "${lora_rates[@]}"; do
    run rank1 "$rate" "$seed" --lora-r 1
    run rank16 "$rate" "$seed" --lora-r 16
  done
  for rate in "${full_rates[@]}"; do
    run full "$rate" "$seed" --method full
  done
done
