#!/bin/sh
# Chat pairs about the meanings of words, from WordNet (Debian package wordnet-base).
#   tools/wordnet_data.sh OUT_DIR [N]
# writes OUT_DIR/train.jsonl with N pairs (default 1600) and OUT_DIR/heldout.jsonl with N/10: a question for the
# meaning of a word, answered by its definition and, if there is one, an example of its use. The same N gives the same
# files. The split of synsets depends on a hash of their offsets only, not on N, and each is asked for once.
# WORDNET=DIR reads another folder than /usr/share/wordnet.
set -eu
export LC_ALL=C

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: $0 OUT_DIR [N]" >&2
  exit 2
fi
out=$1
count=${2:-1600}
wordnet=${WORDNET:-/usr/share/wordnet}
case $count in
'' | *[!0-9]* | 0 | ??????*)
  echo "$0: N must be a number from 1 to 99999, not '$count'" >&2
  exit 2
  ;;
esac
for file in data.noun data.verb data.adj data.adv index.noun index.verb index.adj index.adv; do
  if [ ! -r "$wordnet/$file" ]; then
    echo "$0: cannot read $wordnet/$file; install the package wordnet-base or set WORDNET" >&2
    exit 1
  fi
done
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Every usable pair: side, part of speech, pool, hash, line of JSON. A word is used only if the synset is its first,
# that is most frequent, sense, so that a question has one answer.
candidates() {
  awk -v pos="$1" -v name="$2" -v salt="$3" '
    function hash(x, i) {  # products stay below 2^53, where doubles are exact
      x = (x + salt * 20000003) % 94906247
      for (i = 1; i <= 3; ++i) x = (x * x + 7919 * x + 1299709 * i) % 94906247
      return x
    }
    function trim(s) {
      gsub(/^[ ,;:]+|[ ,;:.]+$/, "", s)
      gsub(/ +/, " ", s)
      return s
    }
    function balanced(s, opened, closed) {
      opened = gsub(/\(/, "(", s)
      closed = gsub(/\)/, ")", s)
      return opened == closed
    }
    function escaped(s) {
      gsub(/\\/, "\\\\", s)
      gsub(/"/, "\\\"", s)
      return s
    }
    # The first example that contains the word itself, inflected or not; "" if none does.
    function example_of(text, word, stem, parts, n, i, e) {
      n = length(word)
      stem = substr(word, 1, n > 5 ? n - 2 : n > 3 ? n - 1 : n)
      n = split(text, parts, "\"")
      for (i = 2; i <= n; i += 2) {
        e = trim(parts[i])
        if (length(e) >= 12 && length(e) <= 160 && balanced(e) && parts[i + 1] !~ /^ *-/ &&
            match(" " tolower(e), "[^a-z]" stem)) return e
      }
      return ""
    }
    function question(h, word) {
      h = int(h / 11) % 5
      if (h == 0) return "What does the " name " \"" word "\" mean?"
      if (h == 1) return "What is the meaning of the " name " \"" word "\"?"
      if (h == 2) return "Define the " name " \"" word "\"."
      if (h == 3) return "How would you define \"" word "\" as " (name ~ /^a/ ? "an " : "a ") name "?"
      return "Give me a short definition of the " name " \"" word "\"."
    }
    /^  / { next }  # the licence
    FILENAME ~ /index/ {
      first_sense[$1] = $(NF - $3 + 1)
      if ($(NF - $3) > 0) in_use[$1] = 1  # occurs in the tagged corpus: a word in use
      next
    }
    {
      bar = index($0, "| ")
      if (bar == 0 || $0 !~ /^[ -~]*$/) next
      gloss = substr($0, bar + 2)
      quote = index(gloss, "\"")
      definition = trim(quote ? substr(gloss, 1, quote - 1) : gloss)
      if (length(definition) < 12 || length(definition) > 200) next
      if (definition ~ /[`"]/ || !balanced(definition)) next
      if (definition ~ / (as in|e\.g|i\.e|of|to|the|or|by|with)$/) next  # continued in quotes
      if (definition ~ /offensive|obscen|slur|vulgar|derogat|disparag|insulting|sexual|intensifier/) next
      word = ""
      for (field = 5; $field !~ /^[0-9][0-9][0-9]$/; field += 2) {
        lemma = $field
        sub(/\(.*/, "", lemma)  # (a), (p), (ip): positions of an adjective
        if (lemma ~ /^[a-z][a-z_-]+[a-z]$/ && first_sense[lemma] == $1) { word = lemma; break }
      }
      if (word == "") next
      used = (word in in_use)
      gsub(/_/, " ", word)
      example = quote ? example_of(substr(gloss, quote), word) : ""
      h = hash($1 + 0)
      answer = toupper(substr(definition, 1, 1)) substr(definition, 2) "."
      if (example != "") answer = answer " For example: " example (example ~ /[.!?]$/ ? "" : ".")
      printf "%s\t%s\t%d\t%08d\t{\"messages\": [{\"role\": \"user\", \"content\": \"%s\"}, ", \
        (h % 11 == 0 ? "heldout" : "train"), pos, (used ? 0 : 2) + (example == ""), h, escaped(question(h, word))
      printf "{\"role\": \"assistant\", \"content\": \"%s\"}]}\n", escaped(answer)
    }' "$wordnet/index.$1" "$wordnet/data.$1"
}

{
  candidates noun noun 1
  candidates verb verb 2
  candidates adj adjective 3
  candidates adv adverb 4
} | sort >"$work/candidates"

# Takes the share of each part of speech: four in five of the words in use with an example, then any others. The hash
# orders the candidates within a pool, and at the end the chosen ones, so parts of speech are mixed.
choose() {
  awk -F '\t' -v side="$1" -v count="$2" '
    function take(i) { if (i in line && !(i in taken) && left > 0) { taken[i] = 1; --left; print line[i] } }
    function flush(share, with, i) {
      share = pos == "noun" ? 0.4 : pos == "adv" ? 0.1 : 0.25
      left = with = int(count * share + 0.5)
      for (i = 1; i <= n; ++i) if (pool[i] == 0 && left > with * 0.2) take(i)
      for (i = 1; i <= n; ++i) if (pool[i] == 1) take(i)
      for (i = 1; i <= n; ++i) take(i)
      n = 0
      split("", line); split("", pool); split("", taken)
    }
    $1 != side { next }
    $2 != pos { flush(); pos = $2 }
    { ++n; pool[n] = $3; line[n] = $4 "\t" $5 }
    END { flush() }' "$work/candidates" | sort | cut -f 2 | head -n "$2"
}

heldout=$(((count + 9) / 10))
for side in train heldout; do
  wanted=$count
  [ $side = train ] || wanted=$heldout
  choose $side "$wanted" >"$out/$side.jsonl.tmp"
  mv "$out/$side.jsonl.tmp" "$out/$side.jsonl"
  echo "$out/$side.jsonl: $(wc -l <"$out/$side.jsonl") question-answer pairs"
done
