#include "cli/inspect/inspect_tokenizer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <map>
#include <string_view>

#include "core/text.h"
#include "tokenizer/probe_texts.h"

namespace lorikeet {
namespace {

constexpr size_t kMaxShown = 10;  // per kind of difference

std::vector<TokenizerFacts::Added> AddedOf(const Tokenizer& tokenizer) {
  std::vector<TokenizerFacts::Added> added;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    added.push_back({static_cast<int32_t>(token.id), token.content, token.Flags()});
  }
  std::sort(added.begin(), added.end(), [](const auto& x, const auto& y) { return x.id < y.id; });
  return added;
}

std::string HashOf(std::string_view text) {
  if (text.empty()) return "";
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return fmt::format("{:016x}", hash);
}

// Whether the tokenizer puts BOS before a text; other leading tokens are listed with their ids.
std::string BosRule(const TokenizerBundle& bundle) {
  const std::vector<int32_t>& leading = bundle.leading_ids;
  if (leading.empty()) return bundle.bos_id < 0 ? "no BOS" : "not put before a text";
  if (leading.size() == 1 && leading[0] == bundle.bos_id) return "put before a text";
  std::string text;
  for (const int32_t id : leading) {
    text += fmt::format("{} {} ", id, JsonQuoted(bundle.tokenizer.IdToToken(id)));
  }
  return text + "put before a text";
}

std::string Special(const std::string& token, int32_t id) {
  if (token.empty()) return "none";
  return id < 0 ? JsonQuoted(token) : fmt::format("{} {}", id, JsonQuoted(token));
}

std::vector<std::pair<const char*, std::string>> Specials(const TokenizerFacts& facts) {
  const TokenizerBundle& b = facts.bundle;
  return {{"BOS", Special(b.bos_token, b.bos_id)},
          {"EOS", Special(b.eos_token, b.eos_id)},
          {"PAD", Special(b.pad_token, b.pad_id)},
          {"UNK", Special(b.unk_token, b.tokenizer.TokenToId(b.unk_token).value_or(-1))},
          {"ends", fmt::format("{}", fmt::join(b.eos_ids, " "))},
          {"BOS rule", BosRule(b)}};
}

// Collects differences of one kind: the first ones in full, a count of the others.
class Differences {
 public:
  explicit Differences(TokenizerDifferences* all) : all_(all) {}
  void Begin(const char* kind) {
    kind_ = kind;
    count_ = 0;
    all_->json[kind] = OrderedJson::array();
  }
  void Add(const std::string& what, const std::string& a, const std::string& b) {
    if (++count_ > kMaxShown) return;
    all_->lines.push_back(fmt::format("{}: {}: {} against {}", kind_, what, a, b));
    all_->json[kind_].push_back({{"what", what}, {"this", a}, {"against", b}});
  }
  void End() {
    if (count_ > kMaxShown) {
      all_->lines.push_back(fmt::format("{}: and {} more", kind_, count_ - kMaxShown));
    }
    all_->json[fmt::format("{}_count", kind_)] = count_;
  }

 private:
  TokenizerDifferences* all_;
  std::string kind_;
  size_t count_ = 0;
};

void CompareIds(const TokenizerFacts& a, const TokenizerFacts& b, Differences* out) {
  const Tokenizer &x = a.bundle.tokenizer, &y = b.bundle.tokenizer;
  out->Begin("ids");
  for (int32_t id = 0; id < std::max(x.VocabSize(), y.VocabSize()); ++id) {
    const std::string p = x.IdToToken(id), q = y.IdToToken(id);
    const auto show = [](const std::string& t) { return t.empty() ? "none" : JsonQuoted(t); };
    if (p != q) out->Add(std::to_string(id), show(p), show(q));
  }
  out->End();
}

void CompareAdded(const TokenizerFacts& a, const TokenizerFacts& b, Differences* out) {
  std::map<std::string, std::array<std::string, 2>> tokens;
  const auto note = [&](const TokenizerFacts& facts, size_t side) {
    for (const auto& [id, content, flags] : facts.added) {
      tokens[content][side] = fmt::format("{}{}{}", id, flags.empty() ? "" : " ", flags);
    }
  };
  note(a, 0);
  note(b, 1);
  out->Begin("added_tokens");
  for (const auto& [content, sides] : tokens) {
    const auto show = [](const std::string& s) { return s.empty() ? std::string("none") : s; };
    if (sides[0] != sides[1]) out->Add(JsonQuoted(content), show(sides[0]), show(sides[1]));
  }
  out->End();
}

void CompareSpecials(const TokenizerFacts& a, const TokenizerFacts& b, Differences* out) {
  const auto x = Specials(a), y = Specials(b);
  out->Begin("special_tokens");
  for (size_t i = 0; i < x.size(); ++i) {
    if (x[i].second != y[i].second) out->Add(x[i].first, x[i].second, y[i].second);
  }
  out->End();
}

std::vector<std::string> LinesOf(const std::string& text) {
  std::vector<std::string> lines(1);
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

void CompareTemplates(const TokenizerFacts& a, const TokenizerFacts& b, Differences* out) {
  const auto x = LinesOf(a.bundle.chat_template), y = LinesOf(b.bundle.chat_template);
  out->Begin("chat_template");
  for (size_t i = 0; i < std::max(x.size(), y.size()); ++i) {
    const auto line = [&](const std::vector<std::string>& lines) {
      constexpr size_t kMaxBytes = 200;
      return i < lines.size() ? JsonQuoted(lines[i].substr(0, kMaxBytes)) : "no such line";
    };
    if (i < x.size() && i < y.size() && x[i] == y[i]) continue;
    out->Add(fmt::format("line {}", i + 1), line(x), line(y));
    break;  // the rest is mostly the same lines, moved
  }
  const auto &p = a.bundle.named_templates, &q = b.bundle.named_templates;
  std::map<std::string, std::string> all = p;
  all.insert(q.begin(), q.end());
  for (const auto& [name, source] : all) {
    const auto hash = [&, &name = name](const std::map<std::string, std::string>& named) {
      const auto found = named.find(name);
      return found == named.end() ? std::string("none") : "hash " + HashOf(found->second);
    };
    if (hash(p) != hash(q)) out->Add("template " + name, hash(p), hash(q));
  }
  out->End();
}

void CompareEncodings(const TokenizerFacts& a, const TokenizerFacts& b, Differences* out) {
  out->Begin("encodings");
  for (const std::string_view probe : kProbeTexts) {
    const auto x = a.bundle.tokenizer.Encode(probe, /*add_special_tokens=*/true);
    const auto y = b.bundle.tokenizer.Encode(probe, /*add_special_tokens=*/true);
    if (x == y) continue;
    out->Add(JsonQuoted(std::string(probe)), fmt::format("{}", fmt::join(x, " ")),
             fmt::format("{}", fmt::join(y, " ")));
  }
  out->End();
}

}  // namespace

TokenizerFacts InspectTokenizer(const TokenizerSources& sources) {
  TokenizerBundle bundle = LoadTokenizerBundle(sources);
  std::vector<TokenizerFacts::Added> added = AddedOf(bundle.tokenizer);
  std::string hash = HashOf(bundle.chat_template), kind = bundle.tokenizer.kind();
  return {sources.where, std::move(kind), std::move(bundle), std::move(added), std::move(hash)};
}

Facts TokenizerReport(const TokenizerFacts& facts) {
  const TokenizerBundle& b = facts.bundle;
  OrderedJson added = OrderedJson::array();
  for (const auto& [id, content, flags] : facts.added) {
    added.push_back({{"id", id}, {"content", content}, {"flags", flags}});
  }
  const auto special = std::count_if(facts.added.begin(), facts.added.end(),
                                     [](const auto& t) { return t.flags.starts_with("special"); });
  const auto token = [](const std::string& content, int32_t id) {
    return content.empty() ? OrderedJson() : OrderedJson{{"content", content}, {"id", id}};
  };
  Facts v;
  v("kind", "tokenizer");
  v("path", facts.path, "tokenizer");
  v("tokenizer", facts.kind, "kind");
  v("vocab_size", b.tokenizer.VocabSize(), "vocabulary",
    fmt::format("{}, {} of them added tokens, {} special", b.tokenizer.VocabSize(),
                facts.added.size(), special));
  for (const auto& [name, value] : Specials(facts)) v.Row(name, value);
  v("bos_token", token(b.bos_token, b.bos_id));
  v("eos_token", token(b.eos_token, b.eos_id));
  v("pad_token", token(b.pad_token, b.pad_id));
  v("unk_token", token(b.unk_token, b.tokenizer.TokenToId(b.unk_token).value_or(-1)));
  v("eos_ids", b.eos_ids);
  v("adds_bos", b.add_bos);
  v("leading_ids", b.leading_ids);
  v("added_tokens", added);
  v("chat_template_bytes", b.chat_template.size());
  v("chat_template_hash", facts.template_hash, "template",
    facts.template_hash.empty()
        ? "none"
        : fmt::format("{} bytes, hash {}", b.chat_template.size(), facts.template_hash));
  OrderedJson named = OrderedJson::object();
  for (const auto& [name, source] : b.named_templates) {
    named[name] = HashOf(source);
    v.Row("", fmt::format("{}: {} bytes, hash {}", name, source.size(), HashOf(source)));
  }
  v("named_chat_templates", named);
  return v;
}

TokenizerDifferences CompareTokenizers(const TokenizerFacts& a, const TokenizerFacts& b) {
  TokenizerDifferences all;
  Differences out(&all);
  CompareIds(a, b, &out);
  CompareAdded(a, b, &out);
  CompareSpecials(a, b, &out);
  CompareTemplates(a, b, &out);
  CompareEncodings(a, b, &out);
  return all;
}

}  // namespace lorikeet
