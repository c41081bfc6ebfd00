#!/usr/bin/env bash
# Compares the speed of two commits, or of two binaries: `bench/regress.sh --help`.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'END'
Usage: bench/regress.sh BASE [COMMIT] [--turns N] [--model PATH] [--only WORDS]
       bench/regress.sh --binaries A B [--turns N] [--model PATH] [--only WORDS]

Builds BASE and COMMIT (default HEAD) in release mode, each in a git worktree under out/regress, and runs with both
`bench train` (LoRA and full) and `bench decode` (1 and 32 sequences) in turns: A B A B ... Prints the medians of
tokens per second, the ratio new / old, and what a ratio means: the same turns of A are split into halves (odd and
even turns), whose ratio is how far the same binary lies from itself, and the spread of its turns is shown.

  --binaries A B   compares two programs that are there already
  --turns N        turns of each (default 5)
  --model PATH     default: the quickstart's model (out/quickstart/model), else SmolLM2-135M-Instruct, fetched and
                   converted as quickstart.sh does it
  --only WORDS     some of "lora full decode1 decode32" (default: all)

Leave the machine alone while it runs: about four minutes a turn on two cores with AMX. Nothing is asserted; the exit
status is 0 whatever the ratios are.
END
}

fail() { echo "regress.sh: $1" >&2; exit 2; }

turns=5 model= cases="lora full decode1 decode32" binaries= commits=()
while [ $# -gt 0 ]; do
  case $1 in
    --binaries)
      if [ $# -lt 3 ]; then fail "--binaries takes two programs"; fi
      binaries=yes old=$2 new=$3
      shift 2
      ;;
    --turns | --model | --only)
      if [ $# -lt 2 ]; then fail "$1 takes a value"; fi
      case $1 in --turns) turns=$2 ;; --model) model=$2 ;; --only) cases=$2 ;; esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    -*) fail "unknown option '$1'; --help lists them" ;;
    *) commits+=("$1") ;;
  esac
  shift
done
case $turns in '' | *[!0-9]* | 0) fail "--turns takes a number" ;; esac
for name in $cases; do
  case $name in lora | full | decode1 | decode32) ;; *) fail "--only: '$name' is none of lora full decode1 decode32" ;; esac
done
if [ -z "$binaries" ] && { [ ${#commits[@]} -lt 1 ] || [ ${#commits[@]} -gt 2 ]; }; then usage >&2; exit 2; fi
if [ -n "$binaries" ] && [ ${#commits[@]} -gt 0 ]; then fail "--binaries takes no commits"; fi

out=out/regress
mkdir -p "$out"

# build COMMIT: prints the program's path. The worktree and its objects are kept for the next run.
build() {
  local commit tree
  commit=$(git rev-parse --verify --quiet "$1^{commit}") || fail "'$1' is no commit"
  tree=$out/$(git rev-parse --short "$commit")
  if [ ! -e "$tree/.git" ]; then git worktree add --detach "$tree" "$commit" >"$out/build.log" 2>&1; fi
  echo "building $1 in $tree" >&2
  # Without presets: BASE may be older than they are.
  if ! { cmake -S "$tree" -B "$tree/build/release" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLORIKEET_TESTS=OFF &&
    cmake --build "$tree/build/release" --target lorikeet; } >"$out/build.log" 2>&1; then
    tail -n 30 "$out/build.log" >&2
    fail "'$1' does not build; its output is in $out/build.log"
  fi
  echo "$tree/build/release/lorikeet"
}

if [ -z "$binaries" ]; then
  old=$(build "${commits[0]}")
  new=$(build "${commits[1]:-HEAD}")
fi
for program in "$old" "$new"; do
  if [ ! -x "$program" ]; then fail "$program: no such program"; fi
done

if [ -z "$model" ]; then
  model=out/quickstart/model
  if [ ! -s "$model/config.json" ]; then
    model=$out/model
    if [ ! -s "$model/config.json" ]; then
      gguf=$(tools/fetch_smollm2.sh out/cache 2>"$out/fetch.log") || fail "no model: see $out/fetch.log, or give --model"
      "$old" convert "$gguf" "$model" --overwrite >"$out/convert.log" 2>&1 || fail "see $out/convert.log"
    fi
  fi
fi

# measure PROGRAM CASE: tokens per second.
measure() {
  local command
  case $2 in
    lora | full) command="train --method $2 --steps 5 --warmup 1" ;;
    decode1) command="decode --batch 1" ;;
    decode32) command="decode --batch 32" ;;
  esac
  # shellcheck disable=SC2086  # a list of words
  "$1" bench $command --model "$model" --quiet --json 2>"$out/bench.log" |
    sed -n 's/.*"tokens_per_second": *\([0-9.e+-]*\).*/\1/p' | head -n 1
}

results=$out/results.txt
: >"$results"
echo "A  $old"
echo "B  $new"
echo "model $model, $turns turns, $(nproc) CPUs, load $(cut -d ' ' -f 1 /proc/loadavg)"
for turn in $(seq 1 "$turns"); do
  for name in $cases; do
    for which in A B; do
      program=$old
      if [ $which = B ]; then program=$new; fi
      rate=$(measure "$program" "$name")
      if [ -z "$rate" ]; then
        cat "$out/bench.log" >&2
        fail "$program bench ($name) printed no rate"
      fi
      echo "$name $which $turn $rate" >>"$results"
    done
  done
  echo "turn $turn of $turns done" >&2
done

awk -v cases="$cases" -v turns="$turns" '
  function median(list, n,    i, j, t, copy) {
    for (i = 1; i <= n; ++i) copy[i] = list[i]
    for (i = 2; i <= n; ++i) for (j = i; j > 1 && copy[j - 1] > copy[j]; --j) { t = copy[j]; copy[j] = copy[j - 1]; copy[j - 1] = t }
    lowest = copy[1]; highest = copy[n]
    return n % 2 ? copy[(n + 1) / 2] : (copy[n / 2] + copy[n / 2 + 1]) / 2
  }
  function rates(name, which, first, step,    i) {
    split("", list)
    count = 0
    for (i = first; i <= turns; i += step) list[++count] = rate[name, which, i]
    return median(list, count)
  }
  { rate[$1, $2, $3] = $4 }
  END {
    printf "\n%-9s %12s %12s %8s   %s\n", "", "A tokens/s", "B tokens/s", "B / A", "A against itself"
    n = split(cases, names, " ")
    for (k = 1; k <= n; ++k) {
      name = names[k]
      b = rates(name, "B", 1, 1)
      a = rates(name, "A", 1, 1)
      spread = sprintf("turns %.3f to %.3f of the median", lowest / a, highest / a)
      if (turns > 1) spread = sprintf("halves %.3f, ", rates(name, "A", 2, 2) / rates(name, "A", 1, 2)) spread
      printf "%-9s %12.1f %12.1f %8.3f   %s\n", name, a, b, b / a, spread
    }
  }' "$results"
