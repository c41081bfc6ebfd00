#!/usr/bin/env bash
# Compares the results of two builds of Lorikeet, byte for byte: adapters, full weights, training states, metrics
# without times, transcripts, and generated tokens with their log-probabilities.
#
#   tools/same_bits.sh A B
#
# A and B are programs, or commits, which are built in worktrees under out/same_bits. Needs the small chat model of
# quickstart.sh (out/quickstart/model, or the folder named by MODEL) for rewards and generation; everything else runs on
# the tiny random models of tests/golden. Prints a line per comparison; exit status 1 if any differs.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# != 2 ]; then sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; fi
chat_model=${MODEL:-out/quickstart/model}
work=$PWD/out/same_bits
golden=$PWD/tests/golden/model
export OMP_NUM_THREADS=2

# program NAME WHAT: the path of a program, built if WHAT is a commit.
program() {
  local tree=$work/tree-$1 launcher=
  if [ -f "$2" ] && [ -x "$2" ]; then realpath "$2"; return; fi
  if ! git rev-parse --verify --quiet "$2^{commit}" >/dev/null; then
    echo "same_bits.sh: '$2' is neither a program nor a commit" >&2
    return 1
  fi
  git worktree remove --force "$tree" >/dev/null 2>&1 || true
  git worktree add --detach "$tree" "$2" >/dev/null 2>&1
  if command -v ccache >/dev/null; then launcher=-DCMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
  echo "building $2" >&2
  if ! { cmake -S "$tree" -B "$tree/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLORIKEET_TESTS=OFF $launcher &&
    cmake --build "$tree/build/release" --target lorikeet; } >"$work/build-$1.log" 2>&1; then
    tail -n 20 "$work/build-$1.log" >&2
    return 1
  fi
  echo "$tree/build/release/lorikeet"
}

mkdir -p "$work"
rm -rf "$work/a" "$work/b"
a=$(program a "$1")
b=$(program b "$2")
mkdir -p "$work/a" "$work/b"
differing=0 compared=0

# without_times FILE: a metrics file without times.
without_times() {
  sed -E 's/"(step_seconds|tokens_per_second|matmul_utilization|eval_runtime|sampling_seconds|training_seconds|sampling\/tokens_per_second|training\/tokens_per_second|seconds|eval_seconds|train_seconds)": ?[-+.0-9e]+,?//g' "$1"
}

# same NAME FILE...: compares FILE below the outputs of a and b.
same() {
  local name=$1 file
  shift
  for file in "$@"; do
    compared=$((compared + 1))
    if [ ! -s "$work/a/$name/$file" ] || [ ! -s "$work/b/$name/$file" ]; then
      echo "MISSING    $name/$file"
      differing=$((differing + 1))
    elif cmp -s <(without_times "$work/a/$name/$file") <(without_times "$work/b/$name/$file"); then
      echo "same       $name/$file"
    else
      echo "DIFFERENT  $name/$file"
      differing=$((differing + 1))
    fi
  done
}
binary() {  # binary NAME FILE...: the same for binary files
  local name=$1 file
  shift
  for file in "$@"; do
    compared=$((compared + 1))
    if [ ! -s "$work/a/$name/$file" ] || [ ! -s "$work/b/$name/$file" ]; then
      echo "MISSING    $name/$file"
      differing=$((differing + 1))
    elif cmp -s "$work/a/$name/$file" "$work/b/$name/$file"; then
      echo "same       $name/$file"
    else
      echo "DIFFERENT  $name/$file"
      differing=$((differing + 1))
    fi
  done
}

# both NAME COMMAND ARG...: runs a command of both programs with its output in the folder of NAME.
both() {
  local name=$1 side program
  shift
  for side in a b; do
    program=$a
    [ $side = a ] || program=$b
    mkdir -p "$work/$side/$name"
    if ! (cd "$work/$side/$name" && "$program" "$@") >"$work/$side/$name/stdout" 2>"$work/$side/$name/stderr"; then
      echo "same_bits.sh: $side, $name: $program $* failed:" >&2
      tail -n 5 "$work/$side/$name/stderr" >&2
      exit 1
    fi
  done
}

data=$work/tokens.jsonl
awk 'BEGIN { srand(1); for (i = 0; i < 40; ++i) { printf "{\"tokens\":["; n = 8 + int(rand() * 90)
  for (j = 0; j < n; ++j) printf "%s%d", j ? "," : "", int(rand() * 90); print "]}" } }' >"$data"

dtypes="f32 bf16"
if "$a" eval --model "$golden/llama" --data "$data" --dtype bf16 >/dev/null 2>"$work/bf16.log"; then :; else
  echo "bf16 is left out: $(tail -n 1 "$work/bf16.log")"
  dtypes=f32
fi

for model in llama qwen3_moe; do
  for dtype in $dtypes; do
    for method in lora full; do
      name=sft-$model-$dtype-$method
      both "$name" sft --model "$golden/$model" --data "$data" --output-dir run --dtype "$dtype" --method $method \
        --lora-r 4 --batch-size 4 --max-steps 10 --learning-rate 2e-3 --lr-scheduler-type linear --warmup-steps 2 \
        --weight-decay 0.01 --max-grad-norm 0.5 --micro-batch-tokens 256 --eval-split 0.2 --eval-steps 4 \
        --save-steps 5 --save-total-limit 9 --report-to none --quiet
      same "$name" run/metrics.jsonl run/checkpoint-5/trainer_state.json
      if [ $method = lora ]; then
        binary "$name" run/adapter_model.safetensors run/adapter_config.json
      else
        binary "$name" run/model.safetensors
      fi
      binary "$name" run/checkpoint-5/training_state.safetensors run/checkpoint-10/training_state.safetensors
    done
    name=sft-$model-$dtype-recompute
    both "$name" sft --model "$golden/$model" --data "$data" --output-dir run --dtype "$dtype" --recompute block \
      --target-modules all-linear,lm_head --lora-r 3 --batch-size 4 --max-steps 4 --learning-rate 2e-3 \
      --report-to none --quiet
    same "$name" run/metrics.jsonl
    binary "$name" run/adapter_model.safetensors
  done
done

both study-lr study lr --model "$golden/llama" --data "$data" --output-dir study --ranks 2 --steps 6 --seeds 1 \
  --batch-size 4 --dtype f32 --quiet
same study-lr study/lr/findings.json
for run in "$work"/a/study-lr/study/runs/*/; do
  same study-lr "study/runs/$(basename "$run")/metrics.jsonl"
done

if [ ! -f "$chat_model/config.json" ]; then
  echo "no model at $chat_model: rewards and generation are left out; run ./quickstart.sh, or set MODEL" >&2
  exit 1
fi
chat_model=$(realpath "$chat_model")
prompts=$work/prompts.jsonl
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  printf '{"prompt": "Word number %d is %s. Say something about it."}\n' $i "$(head -c $((i * 7)) /dev/zero | tr '\0' a)"
done >"$prompts"
for dtype in $dtypes; do
  name=generate-$dtype
  both "$name" generate --model "$chat_model" --data "$prompts" --dtype "$dtype" --temperature 0.8 --top-p 0.95 --seed 3 \
    --max-tokens 12 --num-samples 3 --batch-size 8 --json --logprobs --quiet
  same "$name" stdout
done
for objective in importance_sampling gspo; do
  name=rl-$objective
  both "$name" rl --model "$chat_model" --task sort_numbers --objective $objective --output-dir run --max-steps 2 \
    --prompts-per-step 3 --group-size 4 --max-tokens 12 --minibatches 2 --updates-per-batch 2 --kl-coef 0.01 \
    --learning-rate 3e-4 --eval-problems 4 --eval-samples 2 --save-steps 1 --report-to none --quiet
  same "$name" run/metrics.jsonl run/transcripts/step-000002.txt
  binary "$name" run/adapter_model.safetensors run/checkpoint-1/training_state.safetensors
done

echo "$compared files compared, $differing differ"
[ $differing = 0 ]
