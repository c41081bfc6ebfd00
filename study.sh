#!/usr/bin/env bash
# Repeats this repository's replication of the article from scratch: `./study.sh --help`.
set -euo pipefail
cd "$(dirname "$0")"
. tools/packages.sh

usage() {
  cat <<'END'
Usage: ./study.sh [--quick] [--jobs N] [--dry-run] [PART...]

Makes small base models, runs the experiments of "LoRA Without Regret" on them and on SmolLM2-135M, and writes
docs/study/ again: reports, raw runs, the table of claims. Hours on 2 cores. Finished runs are kept; after a stop or a
kill the same command resumes.

  PART...      only these of: base longer law moe smollm2 rewards advise (default: all)
  --quick      a smaller base model, two seeds, the experiments lr and rank, into out/study_quick; docs/study/ stays
               as it is. Ten minutes on 2 cores with AMX, six and a half of them building
  --jobs N     runs at the same time, each on its share of the cores (default: one per core)
  --dry-run    print the cost of each part, and stop

Missing Debian packages are installed (as root or with sudo).
END
}

quick= jobs=$(nproc) dry_run= parts=
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    --jobs)
      if [ $# -lt 2 ]; then echo "study.sh: --jobs wants a number" >&2; exit 2; fi
      jobs=$2
      shift
      ;;
    --dry-run) dry_run=--dry-run ;;
    -h | --help) usage; exit 0 ;;
    base | longer | law | moe | smollm2 | rewards | advise) parts="$parts $1" ;;
    *) echo "study.sh: unknown option or part '$1'; ./study.sh --help lists them" >&2; exit 2 ;;
  esac
  shift
done
case $jobs in '' | *[!0-9]* | 0) echo "study.sh: --jobs wants a number" >&2; exit 2 ;; esac

mkdir -p build out
lorikeet=${LORIKEET:-build/release/lorikeet}
if [ -z "${LORIKEET:-}" ]; then
  # shellcheck disable=SC2086  # a list of words
  install_packages out/study_apt.log $build_packages $run_packages wordnet-base python3
  echo "== building $lorikeet"
  if ! { cmake --preset release && cmake --build --preset release; } >out/study_build.log 2>&1; then
    tail -n 20 out/study_build.log >&2
    echo "study.sh: the build failed; its output is in out/study_build.log" >&2
    exit 1
  fi
fi

corpus=out/base/corpus
words=(--data "$corpus/wordnet/train.jsonl" --eval-data "$corpus/wordnet/heldout.jsonl")

# bases WIDTH...: models of these widths, several at the same time, each on one core.
bases() {
  if [ ! -s "$corpus/wordnet/train.jsonl" ]; then tools/corpus.sh "$corpus"; fi
  printf '%s\n' "$@" |
    OMP_NUM_THREADS=1 xargs -P "$jobs" -I {} tools/base_models.sh --lorikeet "$lorikeet" {}
}
# study FOLDER NAME OPTION...
study() {
  local folder=$1 name=$2
  shift 2
  echo "== study $name in $folder"
  # shellcheck disable=SC2086  # nothing, or one word
  "$lorikeet" study "$name" --output-dir "$folder" $dry_run "$@"
}

# Optima that first sweeps found for models of these widths. A grid whose best rate is at an edge is extended in any
# case; to start in the middle saves the runs of the extension.
rates=(--learning-rate 2.15e-3 --full-learning-rate 1e-3 --lr-points 4)
# The article's adapters include the head, as its counts of parameters show.
all=(--target-modules all-linear,lm_head)

if [ -n "$quick" ]; then
  if [ ! -s "$corpus/wordnet/train.jsonl" ]; then tools/corpus.sh "$corpus"; fi
  tools/base_models.sh --lorikeet "$lorikeet" --out out/study_quick/base --corpus "$corpus" --steps 1000 64
  for name in lr rank; do
    study out/study_quick/runs "$name" --model out/study_quick/base/w64 "${words[@]}" "${rates[@]}" "${all[@]}" \
      --ranks 1,4,16,64 --steps 150 --short-steps 15 --seeds 2 --jobs "$jobs"
  done
  exit 0
fi

# Small models are trained with one process per core.
# curves FOLDER MODEL RANKS: the experiments on each base.
curves() {
  local grid=(--model "$2" "${words[@]}" --seeds 3 --jobs "$jobs" "${rates[@]}")
  local long=("${grid[@]}" "${all[@]}" --ranks "$3" --steps 300 --short-steps 30)
  study "$1" lr "${long[@]}" --schedules constant,linear
  study "$1" rank "${long[@]}"
  study "$1" layers "${grid[@]}" --ranks 16 --steps 150
  study "$1" batch "${grid[@]}" "${all[@]}" --ranks 8,64 --batch-sizes 4,16,64 --examples 1280 --eval-points 4
}
base() {
  bases 128
  curves out/study/base out/base/w128 1,2,4,8,16,128
  local model=(--model out/base/w128 "${words[@]}" --seeds 3 --jobs "$jobs")
  study out/study/base invariance "${model[@]}" --learning-rate 6.42e-3 --ranks 1,4,16,64 --dtype f32
  study out/study/base cost "${model[@]}" --ranks 1,16,128 --jobs 1
  study out/study/base capacity "${model[@]}" --learning-rate 4.64e-3 --full-learning-rate 2.15e-3 --lr-points 4 \
    --ranks 1,2,4 --steps 600 --batch-size 64
}
# The same width pretrained five times as long shows which results of `base` come from unfinished pretraining.
longer() {
  bases 128_longer
  curves out/study/base_longer out/base/w128_longer 1,4,16,128
}
law() {
  bases 64 96 128
  study out/study/law law --model out/base/w64,out/base/w96,out/base/w128 "${words[@]}" "${rates[@]}" "${all[@]}" \
    --ranks 32 --steps 150 --seeds 3 --jobs "$jobs"
}
moe() {
  bases 64_moe
  study out/study/moe moe --model out/base/w64_moe "${words[@]}" "${rates[@]}" --ranks 16 --steps 150 --seeds 3 \
    --jobs "$jobs"
}

# SmolLM2-135M-Instruct on words of WordNet that it was not trained on, at sizes that two cores can do.
smollm2=out/quickstart/model
need_smollm2() {
  if [ ! -s "$smollm2/config.json" ]; then ./quickstart.sh; fi
  if [ ! -s out/study/words/train.jsonl ]; then
    tools/wordnet_data.sh out/study/words 800
    head -n 50 out/study/words/train.jsonl >out/study/words/fifty.jsonl
  fi
}
pairs=(--data out/study/words/train.jsonl --eval-data out/study/words/heldout.jsonl --eval-examples 48)

smollm2() {
  need_smollm2
  # Grids around the optima that the advice found.
  local grid=(--model "$smollm2" "${pairs[@]}" --learning-rate 5.9e-4 --full-learning-rate 6.6e-5 --lr-points 3
    --batch-size 8 --eval-points 5 --seeds 3 --jobs "$jobs")
  study out/study/smollm2 lr "${grid[@]}" --ranks 1,16,128 --steps 48 --short-steps 12
  study out/study/smollm2 layers "${grid[@]}" --ranks 16 --steps 48 --short-steps 12  # shares runs with lr
}
rewards() {
  need_smollm2
  study out/study/rewards rl --model "$smollm2" --task sort_numbers --difficulty 2 --ranks 1,16 --seeds 3 --steps 20 \
    --max-tokens 20 --eval-points 2 --learning-rate 3.2e-4 --full-learning-rate 3.2e-5 --lr-points 3 --jobs "$jobs"
}

# The advice for two data sets, and runs with the advised settings and with a common default: rank 8 on attention, 2e-4.
advise() {
  need_smollm2
  local data name seed
  for name in words fifty; do
    data=out/study/words/$([ $name = words ] && echo train || echo fifty).jsonl
    study "out/study/advice_$name" advise --model "$smollm2" --data "$data" \
      --eval-data out/study/words/heldout.jsonl --eval-examples 40 --lr-points 4 --steps 40 \
      --batch-size 8 --seeds 2 --jobs "$jobs" --full-learning-rate 1.3e-4 \
      --learning-rate $([ $name = words ] && echo 2e-3 || echo 1e-3)
    if [ -n "$dry_run" ]; then continue; fi
    for seed in 1 2; do
      compared "advised_$name-$seed" "$data" "$seed" --config "out/study/advice_$name/advise/sft.yaml"
      compared "usual_$name-$seed" "$data" "$seed" --lora-r 8 --target-modules attention --learning-rate 2e-4 \
        --batch-size "$(sed -n 's/^batch_size: //p' "out/study/advice_$name/advise/sft.yaml")" \
        --max-steps "$(sed -n 's/^max_steps: //p' "out/study/advice_$name/advise/sft.yaml")"
    done
  done
}
# compared NAME DATA SEED OPTION...: one run of sft, of which the summary is kept.
compared() {
  local dir=out/study/compared/$1 data=$2 seed=$3
  shift 3
  if [ -s "$dir/train_summary.json" ]; then return 0; fi
  "$lorikeet" sft "$smollm2" --data "$data" --eval-data out/study/words/heldout.jsonl --seed "$seed" \
    --output-dir "$dir" --overwrite-output-dir --report-to none "$@"
}

for part in ${parts:-base longer law moe smollm2 rewards advise}; do "$part"; done
if [ -n "$dry_run" ] || [ -n "$parts" ]; then exit 0; fi
tools/study_record.py pack out/study/base out/study/base_longer out/study/law out/study/moe out/study/smollm2 \
  out/study/rewards out/study/advice_words out/study/advice_fifty
tools/study_record.py compared out/study/compared
tools/study_record.py write --lorikeet "$lorikeet"
