#!/usr/bin/env bash
# Tests that the claims of docs/study/ follow from the raw runs there and from nothing else.
#   study_claims.sh LORIKEET
set -euo pipefail
lorikeet=$(realpath "$1")
docs=$(realpath "$(dirname "$0")/../../docs/study")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
for archive in "$docs"/runs/*.tar.gz; do tar -xzf "$archive"; done
"$lorikeet" study claims * >claims.json
diff "$docs/claims.json" claims.json >&2 || { echo "docs/study/claims.json does not match its runs" >&2; exit 1; }
grep -q '"agrees": "' claims.json || { echo "no claims" >&2; exit 1; }
