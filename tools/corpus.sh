#!/usr/bin/env bash
# Plain English text for small base models, from Debian 12 packages alone.
#   tools/corpus.sh OUT_DIR [CACHE_DIR]
# writes OUT_DIR/train.jsonl and OUT_DIR/heldout.jsonl, {"text": ...} a row: prose and manuals, split by page. A kind
# that is excluded from them, to be learned later, goes to OUT_DIR/wordnet/: questions for the meanings of words
# (tools/wordnet_data.sh). OUT_DIR/packages.txt lists the sources. Packages are fetched with apt-get into CACHE_DIR
# (default OUT_DIR/packages), not installed; root is not needed. The same packages give the same bytes.
set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "$0")" && pwd)

# Package, licence of its text by its copyright file, and kind if it is not a manual.
sources="
anarchism               GPL-2                 prose: An Anarchist FAQ
bible-kjv-text          public domain         prose: the King James Bible
bible-kjv               GPL-2+                the program that reads it
debian-faq              verbatim or same terms
debian-handbook         CC-BY-SA-3.0 or GPL-2+
debian-policy           GPL-2+
debian-reference-en     GPL-2+
developers-reference    GPL-2
git-doc                 GPL-2
gnome-user-docs         CC-BY-SA-3.0
libreoffice-help-en-us  MPL-2.0
postgresql-doc-15       PostgreSQL
python3.11-doc          PSF-2
rust-doc                MIT or Apache-2.0
sqlite3-doc             public domain
wordnet-base            WordNet3.0            dictionary, kept out of pretraining
"

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: $0 OUT_DIR [CACHE_DIR]" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cache=${2:-$out/packages}
mkdir -p "$cache/unpacked"
cache=$(cd "$cache" && pwd)

unpack() {  # unpack PACKAGE: fetches it unless present, and unpacks it atomically
  if [ -d "$cache/unpacked/$1" ]; then return 0; fi
  if ! ls "$cache/$1"_*.deb >/dev/null 2>&1; then
    if ! (cd "$cache" && apt-get download "$1") >"$cache/apt.log" 2>&1 </dev/null; then
      tail -n 5 "$cache/apt.log" >&2
      echo "error: apt-get could not fetch $1; is this Debian 12, and has 'apt-get update' been run?" >&2
      return 1
    fi
  fi
  rm -rf "$cache/unpacked/$1.new"
  dpkg-deb -x "$cache/$1"_*.deb "$cache/unpacked/$1.new"
  mv "$cache/unpacked/$1.new" "$cache/unpacked/$1"
}

packages=$(awk 'NF { print $1 }' <<<"$sources")
for package in $packages; do unpack "$package"; done
(cd "$cache" && for package in $packages; do sha256sum "$package"_*.deb; done) >"$out/packages.txt"

python3 "$here/corpus_text.py" "$cache/unpacked" "$out"
WORDNET=$cache/unpacked/wordnet-base/usr/share/wordnet "$here/wordnet_data.sh" "$out/wordnet" 30000
