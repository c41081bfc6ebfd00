#!/usr/bin/env bash
# Runs clang-tidy (.clang-tidy): `tools/tidy.sh` over every source file, `tools/tidy.sh --changed` over those that differ
# from TIDY_BASE, by default the last tag, else ten commits back. A header that differs is read through its own .cc file,
# else through one that includes it. Findings in headers count, whichever file includes them. Exit status 1 if there are any.
# TIDY_SECONDS: begin no file after so many seconds, and say which ones were left out.
set -euo pipefail
cd "$(dirname "$0")/.."

tidy=${CLANG_TIDY:-clang-tidy-14}
cmake --preset tidy >build/tidy.log 2>&1 || { tail -n 20 build/tidy.log >&2; exit 1; }

# The .cc files of the compilation database; one file a line.
all() {
  sed -n 's/^ *"file": "\(.*\)".*/\1/p' build/tidy/compile_commands.json | sed "s#^$PWD/##" | sort -u
}

base() {
  if [ -n "${TIDY_BASE:-}" ]; then
    echo "$TIDY_BASE"
  else
    git describe --tags --abbrev=0 2>/dev/null || git rev-parse --quiet --verify HEAD~10 || git rev-list --max-parents=0 HEAD | tail -n 1
  fi
}

# A file moved without a change does not differ.
changed() {
  { git diff -M --name-status --diff-filter=d "$(base)" -- '*.cc' '*.h' | awk '$1 != "R100" { print $NF }'
    git ls-files --others --exclude-standard -- '*.cc' '*.h'; } | sort -u |
    while IFS= read -r file; do
      case $file in
        *.cc) echo "$file" ;;
        *)
          if [ -e "${file%.h}.cc" ]; then
            echo "${file%.h}.cc"
          else
            git grep -l --untracked -F "#include \"${file#src/}\"" -- 'src/*.cc' | head -n 1
          fi
          ;;
      esac
    done | sort -u | comm -12 - <(all)
}

if [ "${1:-}" = --changed ]; then
  if ! git rev-parse --quiet --verify "$(base)^{commit}" >/dev/null; then
    echo "tidy.sh: TIDY_BASE='$(base)' is no commit" >&2
    exit 2
  fi
  files=$(changed)
else
  files=$(all)
fi
echo "clang-tidy reads $(printf '%s' "$files" | grep -c .) files"
if [ -z "$files" ]; then exit 0; fi

# One file at a time, so that a long one does not keep a core waiting. Only findings are printed. Files whose turn comes
# after the deadline are listed, not read.
unread=build/tidy/unread
: >"$unread"
read_one() {
  if [ -n "${TIDY_SECONDS:-}" ] && [ "$(date +%s)" -ge "$deadline" ]; then
    echo "$1" >>"$unread"
  else
    "$tidy" -p build/tidy --quiet "$1" 2> >(grep -v 'warnings generated\|warning generated' >&2)
  fi
}
export -f read_one
export tidy unread deadline=$(($(date +%s) + ${TIDY_SECONDS:-0}))
status=0
printf '%s\n' "$files" | xargs -P "$(nproc)" -n 1 bash -c 'read_one "$1"' tidy || status=$?
if [ -s "$unread" ]; then
  echo "not read within $TIDY_SECONDS s: $(wc -l <"$unread") files ($unread); all of them: ./test.sh --tidy"
fi
exit $status
