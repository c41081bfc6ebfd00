#!/usr/bin/env bash
# The small base models of docs/pretrain.md from scratch: corpus, then one model per width, all with one recipe.
#   tools/base_models.sh [--lorikeet BIN] [--out DIR] [--corpus DIR] [--steps N] [WIDTH...]
# WIDTH of 64 96 128 192 256 (default: all, the narrow ones first), 64_moe, a mixture of experts of width 64, or
# 128_longer, width 128 for five times as many steps. Finished models are skipped, and stopped ones are resumed: after a
# kill, start the same command again. --steps trains for another number of steps; --corpus is the folder of the text,
# made if missing (default: DIR/corpus). Threads: OMP_NUM_THREADS.
set -euo pipefail
cd "$(dirname "$0")/.."

lorikeet=build/release/lorikeet
out=out/base
corpus=
steps=
widths=
usage() { sed -n 's/^# \{0,1\}//; 2,7p' "$0"; }
while [ $# -gt 0 ]; do
  case $1 in
    --lorikeet | --out | --corpus | --steps)
      if [ $# -lt 2 ]; then echo "base_models.sh: $1 wants a value" >&2; exit 2; fi
      case $1 in
        --lorikeet) lorikeet=$2 ;;
        --out) out=$2 ;;
        --corpus) corpus=$2 ;;
        --steps) steps=$2 ;;
      esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    64 | 96 | 128 | 192 | 256 | 64_moe | 128_longer) widths="$widths $1" ;;
    *) echo "base_models.sh: '$1' is not a width with a shape; see --help" >&2; exit 2 ;;
  esac
  shift
done
if ! command -v "$lorikeet" >/dev/null; then
  echo "base_models.sh: $lorikeet: not there; build it (README.md) or name it with --lorikeet" >&2
  exit 1
fi

corpus=${corpus:-$out/corpus}
if [ ! -s "$corpus/wordnet/train.jsonl" ]; then tools/corpus.sh "$corpus"; fi

for width in ${widths:-64 96 128 192 256}; do
  dir=$out/w$width
  if [ -s "$dir/model.safetensors" ]; then
    echo "$dir: already done"
    continue
  fi
  # --resume begins again where there is no checkpoint yet.
  if [ "$width" = 128_longer ]; then length=${steps:-12500}; else length=$steps; fi
  "$lorikeet" pretrain --config examples/pretrain/base.yaml --config_name "examples/pretrain/w${width%_longer}.json" \
    --data "$corpus/train.jsonl" --eval_data "$corpus/heldout.jsonl" --output_dir "$dir" --resume \
    ${length:+--max_steps "$length"}
done
