#!/bin/sh
# Fails if a C++ file is not as clang-format leaves it. `--fix` rewrites instead.
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang-format >/dev/null 2>&1; then
  echo "check_format: clang-format is missing (apt install clang-format)" >&2
  exit 1
fi
mode="--dry-run -Werror"
if [ "${1:-}" = "--fix" ]; then mode="-i"; fi
# shellcheck disable=SC2086  # mode is two words
find src tests bench examples \( -name '*.h' -o -name '*.cc' \) -print0 | xargs -0 -r clang-format $mode
