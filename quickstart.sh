#!/usr/bin/env bash
# Fine-tunes a real chat model on real data, from scratch: `./quickstart.sh --help`.
set -euo pipefail
cd "$(dirname "$0")"
. tools/packages.sh

out=out/quickstart
cache=out/cache
lorikeet=build/release/lorikeet
examples=960   # training pairs: two to three minutes of training on 2 cores with bf16 products
prompts=6      # prompts of the held-out file, completed before and after training
model=
fresh=

usage() {
  cat <<'END'
Usage: ./quickstart.sh [--model PATH] [--examples N] [--fresh]

Builds Lorikeet, fetches a small chat model (SmolLM2-135M-Instruct) and a dictionary (WordNet), teaches the model
to explain words with LoRA, and shows its answers and its loss on held-out words before and after. Takes about ten
minutes on 2 cores. What is already there is not done again.

  --model PATH   another model: a folder in Hugging Face layout, or a GGUF file, with a chat template
  --examples N   pairs to learn from (default 960)
  --fresh        train again from the beginning

Everything it makes lies in out/quickstart. Missing Debian packages are installed (as root or with sudo).
END
}

while [ $# -gt 0 ]; do
  case $1 in
    --model | --examples)
      if [ $# -lt 2 ]; then echo "quickstart.sh: $1 wants a value" >&2; exit 2; fi
      if [ "$1" = --model ]; then model=$2; else examples=$2; fi
      shift
      ;;
    --fresh) fresh=yes ;;
    -h | --help) usage; exit 0 ;;
    *) echo "quickstart.sh: unknown option '$1'; ./quickstart.sh --help lists them" >&2; exit 2 ;;
  esac
  shift
done
if [ -n "$model" ] && [ ! -e "$model" ]; then
  echo "quickstart.sh: --model $model: no such file or folder" >&2
  exit 2
fi
case $examples in '' | *[!0-9]* | 0) echo "quickstart.sh: --examples wants a number" >&2; exit 2 ;; esac
if [ -n "$fresh" ]; then rm -rf "$out"; fi
mkdir -p "$out/logs" "$cache" build

steps=8
step=0
started=0

begin() {  # begin TITLE
  step=$((step + 1))
  started=$SECONDS
  title=$1
  printf '[%d/%d] %s\n' $step $steps "$title"
}
finish() { printf '      %s, %d s\n' "${1:-done}" $((SECONDS - started)); }

# Runs a command with its output in a log, which is only shown if it fails.
quietly() {  # quietly NAME COMMAND...
  local log=$out/logs/$1.log
  shift
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "quickstart.sh: '$title' failed; its output is in $log" >&2
    exit 1
  fi
}

# The same, with standard output in a file.
save() {  # save FILE NAME COMMAND...
  quietly "$2" into "$1" "${@:3}"
}
into() { "${@:2}" >"$1.new" && mv "$1.new" "$1"; }

# A step is done if it and all steps before it were completed with the same commands.
history=
is_done() {  # is_done NAME DESCRIPTION FILE...
  local name=$1 file
  history=$(printf '%s\n%s' "$history" "$2" | cksum | cut -d ' ' -f 1)
  shift 2
  for file in "$@"; do [ -s "$file" ] || return 1; done
  [ "$(cat "$out/logs/$name.done" 2>/dev/null)" = "$history" ]
}
mark_done() { echo "$history" >"$out/logs/$1.done"; }
already() { printf '      already done: %s\n' "$1"; }

nats() { number "$1" nll | awk '{ printf "%.4f", $1 }'; }

number() { sed -n "s/.*\"$2\": *\([-+.0-9eE]*\).*/\1/p" "$1" | tail -n 1; }  # number FILE KEY

begin "Debian packages"
# shellcheck disable=SC2086  # a list of words
install_packages "$out/logs/apt.log" $build_packages $run_packages wordnet-base
if [ -z "$model" ] && ! python3 -m pip --version >/dev/null 2>&1; then
  install_packages "$out/logs/apt.log" python3 python3-pip
fi
finish

begin "Build $lorikeet"
quietly configure cmake --preset release
quietly build cmake --build --preset release
finish "$("$lorikeet" --version | head -n 1)"

begin "Model"
source=$model
if [ -z "$source" ]; then
  source=$cache/SmolLM2-135M-Instruct.Q4_1.gguf
  quietly download tools/fetch_smollm2.sh "$cache"
fi
if [ -d "$source" ]; then
  model_dir=$source
  is_done model "$source" || mark_done model
  finish "$model_dir, as it is"
else
  model_dir=$out/model
  if is_done model "$source" $model_dir/config.json; then
    already $model_dir
  else
    quietly convert "$lorikeet" convert "$source" $model_dir --overwrite
    mark_done model
    finish "$model_dir, from $(basename "$source")"
  fi
fi

begin "Data: meanings of words"
train_file=$out/data/train.jsonl
heldout_file=$out/data/heldout.jsonl
if is_done data "$examples" $train_file $heldout_file; then
  already $out/data
else
  quietly data tools/wordnet_data.sh $out/data "$examples"
  mark_done data
  finish "$(wc -l <$train_file) pairs to learn from, $(wc -l <$heldout_file) held out"
fi

answers() {  # answers NAME [--adapter DIR]: one line of JSON per question, for the first held-out ones
  head -n $prompts $heldout_file >$out/data/questions.jsonl
  save "$out/answers_$1.jsonl" "answers-$1" "$lorikeet" generate --model "$model_dir" "${@:2}" \
    --data $out/data/questions.jsonl --temperature 0 --max-tokens 96
}

evaluate() {  # evaluate NAME [--adapter DIR]
  save "$out/eval_$1.json" "eval-$1" "$lorikeet" eval --model "$model_dir" "${@:2}" --data $heldout_file --json
}

begin "Before: $prompts answers, and the loss on held-out pairs"
if is_done before "$prompts" $out/eval_before.json $out/answers_before.jsonl; then
  already $out/eval_before.json
else
  answers before
  evaluate before
  mark_done before
  finish "loss $(nats $out/eval_before.json) nats a token"
fi

begin "Train: LoRA on every linear layer"
adapter_dir=$out/adapter
metrics=$adapter_dir/metrics.jsonl
if is_done train "1 epoch, batches of 16" $adapter_dir/adapter_model.safetensors $metrics; then
  already $adapter_dir
else
  train() {
    "$lorikeet" sft --model "$model_dir" --data $train_file --eval-data $heldout_file --output-dir $adapter_dir \
      --eval-steps 15 --save-steps 15 "$@"
  }
  # An interrupted training is resumed if its model and data are the same.
  status=1
  if [ "$(cat $out/logs/train.begun 2>/dev/null)" = "$history" ] &&
    ls -d $adapter_dir/checkpoint-*[0-9] >/dev/null 2>&1; then
    status=0
    train --resume || status=$?
    if [ $status = 1 ]; then echo "      its checkpoint is not usable; starting again"; fi
  fi
  if [ $status = 1 ]; then
    rm -rf $adapter_dir
    echo "$history" >$out/logs/train.begun
    status=0
    train || status=$?
  fi
  if [ $status != 0 ]; then exit $status; fi
  mark_done train
  finish "$adapter_dir"
fi

begin "After: answers to the same questions, and the loss on the same pairs"
if is_done after "$prompts" $out/eval_after.json $out/answers_after.jsonl; then
  already $out/eval_after.json
else
  answers after --adapter $adapter_dir
  evaluate after --adapter $adapter_dir
  mark_done after
  finish "loss $(nats $out/eval_after.json) nats a token"
fi

# Three columns of numbers for gnuplot: step and loss of every training step, and of every evaluation.
column() {  # column KEY: "step value" of the lines that have KEY
  sed -n "s/.*\"step\":\([0-9]*\).*\"$1\":\([-+.0-9eE]*\).*/\1 \2/p" $metrics
}

draw() {
  local name
  name=$(basename "$source" .gguf | sed 's/\.[A-Z]*[0-9][_0-9A-Z]*$//' | tr -d '"\\')
  column loss >$out/logs/loss.txt
  column eval_loss >$out/logs/eval_loss.txt
  gnuplot <<END
set terminal pngcairo size 960,600 font ",12" linewidth 1.2
set output "$out/loss.png"
set title "$name learns word meanings, with LoRA" noenhanced
set xlabel "optimizer step"
set ylabel "loss, nats per trained token"
set grid back lt 1 lw 1 lc rgb "#e4e4e4"
set key top right
set border 3
set tics nomirror
mean = 0; seen = 0
# Exponential moving average with a half-life of 7 steps and bias correction.
smooth(x) = (mean = 0.9 * mean + 0.1 * x, seen = 0.9 * seen + 0.1, mean / seen)
plot "$out/logs/loss.txt" using 1:2 with lines lc rgb "#b8cbe6" title "training, each step", \
  "$out/logs/loss.txt" using 1:(smooth(\$2)) with lines lw 2 lc rgb "#2c5fa8" title "training, smoothed", \
  "$out/logs/eval_loss.txt" using 1:2 with linespoints lw 2 pt 7 lc rgb "#d1600a" title "held-out words"
END
}

# last_turn FILE LINE ROLE: the last turn of that role in a line of JSON, for a cell of a Markdown table.
last_turn() {
  sed -n "$2p" "$1" | awk -v role="$3" '{
    while (match($0, "\"role\": *\"" role "\", *\"content\": *\"")) $0 = substr($0, RSTART + RLENGTH)
    text = ""
    for (i = 1; (c = substr($0, i, 1)) != "\"" && c != ""; ++i) {
      if (c == "\\") {
        c = substr($0, ++i, 1)
        if (c == "n") c = "<br>"
        if (c == "t") c = " "
      }
      text = text (c == "|" ? "\\|" : c)
    }
    gsub(/(<br>)+/, "<br>", text)
    print text (/"finish_reason": *"length"/ && role == "assistant" ? " ..." : "")
  }'
}

write_answers() {
  local i
  echo "# Answers to held-out questions, before and after"
  echo
  echo "Model \`$model_dir\`, adapter \`$adapter_dir\`; greedy decoding, at most 96 tokens."
  echo
  echo "| Question | Before | After | WordNet |"
  echo "|---|---|---|---|"
  for i in $(seq 1 $prompts); do
    echo "| $(last_turn $heldout_file "$i" user) | $(last_turn $out/answers_before.jsonl "$i" assistant) |" \
      "$(last_turn $out/answers_after.jsonl "$i" assistant) | $(last_turn $heldout_file "$i" assistant) |"
  done
}

begin "Picture and summary"
quietly draw draw
write_answers >$out/answers.md
before=$(number $out/eval_before.json nll)
after=$(number $out/eval_after.json nll)
train_seconds=$(sed -n 's/.*"step_seconds":\([-+.0-9eE]*\).*/\1/p' $metrics | awk '{ s += $1 } END { printf "%.1f", s }')
tokens_per_second=$(number $metrics num_tokens | awk -v s="$train_seconds" '{ printf "%.0f", $1 / s }')
case $model_dir in /*) absolute= ;; *) absolute=$PWD/ ;; esac
cat >$out/summary.json <<END
{
  "model_dir": "$absolute$model_dir",
  "train_file": "$PWD/$train_file",
  "heldout_file": "$PWD/$heldout_file",
  "adapter_dir": "$PWD/$adapter_dir",
  "heldout_nll_before": $before,
  "heldout_nll_after": $after,
  "train_seconds": $train_seconds,
  "tokens_per_second": $tokens_per_second
}
END
finish "$out/summary.json"

cat <<END

Held-out loss: $(nats $out/eval_before.json) before, $(nats $out/eval_after.json) after, in nats a token (lower is better).
Training took $train_seconds s at $tokens_per_second tokens a second.

  $out/answers.md   the model's answers before and after training
  $out/loss.png     the loss curves
  $adapter_dir      the adapter, as the peft library reads it

Try next:
  $lorikeet chat --model $model_dir --adapter $adapter_dir
  $lorikeet generate --model $model_dir --adapter $adapter_dir --prompt 'Define the noun "lorikeet".'
  $lorikeet merge --adapter $adapter_dir --output-dir $out/merged
  $lorikeet sft --help
END
