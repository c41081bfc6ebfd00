# Sourced by the tests of stopped commands.

fail() { echo "FAILED: $*" >&2; exit 1; }

# steps_of OUT KEY: number of lines with the key in its metrics.
steps_of() { cat "$1/metrics.jsonl" 2>/dev/null | grep -c "\"$2\"" || true; }

# wait_for COUNT WHAT COMMAND...: waits until the command prints COUNT or more, while the counted process still runs.
wait_for() {
  local count=$1 what=$2
  shift 2
  for _ in $(seq 2400); do
    [ "$("$@")" -ge "$count" ] && return 0
    sleep 0.05
  done
  fail "$what: never came to $count"
}

# stop SIGNAL STATUS PID: stops a command started in the background, which must end with that status.
stop() {
  local signal=$1 expected=$2 pid=$3 status=0
  pkill -"$signal" -P "$pid" 2>/dev/null || kill -"$signal" "$pid"
  wait "$pid" || status=$?
  [ "$status" = "$expected" ] || fail "SIG$signal: exit status $status, expected $expected"
}

# tiny_chat_model GOLDEN DIR
# The tiny model as a chat model, with a token per letter and digit and for the space (U+0120) and the line break
# (U+010A).
tiny_chat_model() {
  local golden=$1 model=$2 letters id vocab
  mkdir "$model"
  cp "$golden/config.json" "$golden/model.safetensors" "$model"
  letters='a b c d e f g h i j k l m n o p q r s t u v w x y z 0 1 2 3 4 5 6 7 8 9 \u0120 \u010a'
  id=0
  vocab=$(for letter in $letters; do printf '"%s":%d,' "$letter" $((id++)); done)
  cat >"$model/tokenizer.json" <<END
{"version":"1.0","truncation":null,"padding":null,"normalizer":null,"post_processor":null,
 "added_tokens":[
  {"id":38,"content":"<start>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},
  {"id":39,"content":"<end>","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
 "pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
 "decoder":{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":true},
 "model":{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,
  "fuse_unk":false,"byte_fallback":false,"ignore_merges":false,"vocab":{${vocab%,}},"merges":[]}}
END
  cat >"$model/tokenizer_config.json" <<'END'
{"eos_token":"<end>","chat_template":"{% for m in messages %}{{ '<start>' + m['role'] + '\n' + m['content'] + '<end>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start>assistant\n' }}{% endif %}"}
END
}

# tiny_problems FILE: problems for --grader regex. Some prompts are too long and are skipped.
tiny_problems() {
  awk 'BEGIN { for (i = 0; i < 30; ++i) {
    printf "{\"prompt\":\"say %d%s\",\"answer\":\"[a-h]\"}\n", i, i % 7 == 3 ? " or else something" : "" } }' \
    >"$1"
}
