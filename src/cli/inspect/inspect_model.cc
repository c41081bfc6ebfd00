#include "cli/inspect/inspect_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "chat/bundle.h"
#include "core/error.h"
#include "core/format.h"
#include "engine/text_files.h"
#include "model/source_config.h"

namespace lorikeet {
namespace {

bool Contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

const char* PartOf(const ModelSource::Entry& entry) {
  const std::string& name = entry.name;
  if (entry.other_part) return "not text";
  if (Contains(name, "norm")) return "norms";
  if (Contains(name, "self_attn")) return "attention";
  if (Contains(name, ".experts.")) return "experts";
  if (Contains(name, ".mlp.gate.") || Contains(name, ".block_sparse_moe.gate.")) return "router";
  if (Contains(name, "mlp")) return "mlp";
  if (Contains(name, "embed_tokens")) return "embedding";
  if (Contains(name, "lm_head")) return "head";
  return "other";
}

int64_t SizeOf(const ModelSource::Entry& entry) {
  int64_t size = 1;
  for (const int64_t dim : entry.shape) size *= dim;
  return size;
}

void Count(const std::string& name, const ModelSource::Entry& entry,
           std::vector<ModelFacts::Part>* parts) {
  auto part =
      std::find_if(parts->begin(), parts->end(), [&](const auto& p) { return p.name == name; });
  if (part == parts->end()) part = parts->insert(part, {.name = name});
  const int64_t size = SizeOf(entry);
  ++part->tensors;
  part->parameters += size;
  part->bytes += DTypeBytes(entry.dtype, size);
}

void ReadTokenizer(const ModelSource& source, ModelFacts* facts) {
  try {
    const std::optional<TokenizerSources> sources = TokenizerSourcesOf(source);
    if (!sources) return;
    const TokenizerBundle bundle = LoadTokenizerBundle(*sources);
    facts->tokenizer = {.vocab_size = bundle.tokenizer.VocabSize(),
                        .bos_token = bundle.bos_token,
                        .eos_token = bundle.eos_token,
                        .pad_token = bundle.pad_token,
                        .eos_ids = bundle.eos_ids,
                        .add_bos = bundle.add_bos,
                        .chat_template_bytes = std::ssize(bundle.chat_template)};
  } catch (const Error& e) {
    facts->why_no_tokenizer = e.what();
  }
}

std::string ScalingText(const RopeScaling& scaling) {
  if (scaling.type == "default") return "";
  std::string text = fmt::format(", {} x {:g}", scaling.type, scaling.factor);
  if (scaling.original_max_position_embeddings > 0) {
    text += fmt::format(" from {}", scaling.original_max_position_embeddings);
  }
  return text;
}

std::string RopeText(const ModelConfig& c) {
  std::string text = fmt::format("theta {:g}", c.rope_theta);
  if (const auto without = std::ranges::count(c.no_rope_layers, 0); without > 0) {
    text += fmt::format(", none in {} of {} layers", without, c.num_hidden_layers);
  }
  if (c.rotary_dim != c.head_dim) text += fmt::format(", {} dimensions", c.rotary_dim);
  if (c.rope_interleaved) text += ", pairs of neighbours";
  text += ScalingText(c.rope_scaling);
  if (!c.has_local_rope()) return text;
  return text + fmt::format("; layers with a window: theta {:g}{}", c.rope_local_base_freq,
                            ScalingText(c.local_rope_scaling));
}

// Features that few families have, such as soft caps; "" if the model has none of them.
std::string ExtrasText(const ModelConfig& c) {
  std::vector<std::string> extras;
  if (c.norm_kind == NormKind::kRmsOnePlus) extras.emplace_back("norms of 1 + weight");
  if (c.layer_norm) extras.emplace_back(c.norm_bias ? "LayerNorms with biases" : "LayerNorms");
  if (c.parallel_branches) extras.emplace_back("attention and MLP of one norm");
  if (c.fused_qkv) extras.emplace_back("fused q, k and v");
  if (c.mlp_names.gated && c.mlp_names.gate == nullptr) extras.emplace_back("fused gate and up");
  if (c.sandwich_norms) {
    extras.emplace_back(c.pre_norms ? "norms after the branches" : "norms after the branches only");
  }
  if (c.embedding_multiplier != 1) {
    extras.push_back(fmt::format("embedding times {:g}", c.embedding_multiplier));
  }
  if (c.residual_multiplier != 1) {
    extras.push_back(fmt::format("branches times {:g}", c.residual_multiplier));
  }
  if (c.attention_multiplier > 0) {
    extras.push_back(fmt::format("scores times {:g}", c.attention_multiplier));
  } else if (c.query_pre_attn_scalar != static_cast<double>(c.head_dim)) {
    extras.push_back(fmt::format("scores over the root of {:g}", c.query_pre_attn_scalar));
  }
  if (c.attn_logit_softcapping > 0) {
    extras.push_back(fmt::format("scores capped at {:g}", c.attn_logit_softcapping));
  }
  if (c.logit_multiplier != 1) {
    extras.push_back(fmt::format("logits times {:g}", c.logit_multiplier));
  }
  if (c.llama_4_scaling_beta > 0) {
    extras.push_back(fmt::format("queries with a temperature of {:g}", c.llama_4_scaling_beta));
  }
  if (c.final_logit_softcapping > 0) {
    extras.push_back(fmt::format("logits capped at {:g}", c.final_logit_softcapping));
  }
  return fmt::format("{}", fmt::join(extras, ", "));
}

// "512 tokens in 20 of 24 layers"
std::string WindowText(const ModelConfig& c) {
  const int64_t window = *std::max_element(c.windows.begin(), c.windows.end());
  const auto layers =
      std::count_if(c.windows.begin(), c.windows.end(), [](auto w) { return w > 0; });
  return fmt::format("{} tokens in {} of {} layers", window, layers, c.num_hidden_layers);
}

std::string BiasText(const ModelConfig& c) {
  std::vector<std::string> biased;
  if (c.qkv_bias) biased.emplace_back("q, k, v");
  if (c.o_bias) biased.emplace_back("o");
  if (c.mlp_bias) biased.emplace_back("mlp");
  return biased.empty() ? "none" : fmt::format("{}", fmt::join(biased, ", "));
}

Facts ConfigPart(const ModelConfig& c) {
  Facts v;
  v("hidden_size", c.hidden_size);
  v("intermediate_size", c.intermediate_size);
  v("num_hidden_layers", c.num_hidden_layers, "layers");
  v.Row("hidden", fmt::format("{}, intermediate {}", c.hidden_size, c.intermediate_size));
  v("vocab_size", c.vocab_size);
  v("num_attention_heads", c.num_attention_heads);
  v("num_key_value_heads", c.num_key_value_heads);
  v("head_dim", c.head_dim);
  v("max_position_embeddings", c.max_position_embeddings);
  v("windows", c.windows);
  v("rope_theta", c.rope_theta);
  v("rope_type", c.rope_scaling.type);
  v("rope_factor", c.rope_scaling.factor);
  if (c.has_local_rope()) v("rope_local_base_freq", c.rope_local_base_freq);
  v("tie_word_embeddings", c.tie_word_embeddings);
  v("qkv_bias", c.qkv_bias);
  v("o_bias", c.o_bias);
  v("mlp_bias", c.mlp_bias);
  v("qk_norm", c.qk_norm);
  v("hidden_act", ActivationName(c.hidden_act));
  v("embedding_multiplier", c.embedding_multiplier);
  if (c.residual_multiplier != 1) v("residual_multiplier", c.residual_multiplier);
  if (c.attention_multiplier > 0) v("attention_multiplier", c.attention_multiplier);
  if (c.logit_multiplier != 1) v("logit_multiplier", c.logit_multiplier);
  v("query_pre_attn_scalar", c.query_pre_attn_scalar);
  if (c.attn_logit_softcapping > 0) v("attn_logit_softcapping", c.attn_logit_softcapping);
  if (c.final_logit_softcapping > 0) v("final_logit_softcapping", c.final_logit_softcapping);
  if (!c.no_rope_layers.empty()) v("no_rope_layers", c.no_rope_layers);
  if (c.num_experts > 0) {
    v("num_experts", c.num_experts, "experts",
      fmt::format("{} in {} layers, {} active per token{}, intermediate {}{}", c.num_experts,
                  c.num_expert_layers(), c.num_experts_per_tok,
                  c.norm_topk_prob ? " with weights that sum to 1" : "", c.moe_intermediate_size,
                  c.shared_expert_intermediate_size == 0
                      ? ""
                      : fmt::format("; one shared, {}", c.shared_expert_intermediate_size)));
    if (c.shared_expert_intermediate_size > 0) {
      v("shared_expert_intermediate_size", c.shared_expert_intermediate_size);
    }
    v("num_experts_per_tok", c.num_experts_per_tok);
    v("num_expert_layers", c.num_expert_layers());
    v("moe_intermediate_size", c.moe_intermediate_size);
    v("norm_topk_prob", c.norm_topk_prob);
  }
  v.Row("heads", fmt::format("{} query, {} key/value, {} dimensions each{}", c.num_attention_heads,
                             c.num_key_value_heads, c.head_dim, c.qk_norm ? ", normed" : ""));
  v.Row("vocabulary", fmt::format("{}, head {}", HumanCount(c.vocab_size),
                                  c.tie_word_embeddings ? "tied to the embedding" : "of its own"));
  v.Row("rope", RopeText(c));
  if (c.has_windows()) v.Row("window", WindowText(c));
  v.Row("max length", fmt::format("{} tokens", c.max_position_embeddings));
  v.Row("biases", BiasText(c));
  v.Row("activation",
        std::string(ActivationName(c.hidden_act)) + (c.mlp_names.gated ? "" : ", without a gate"));
  if (const std::string extras = ExtrasText(c); !extras.empty()) v.Row("besides", extras);
  return v;
}

Facts TokenizerPart(const ModelFacts& facts) {
  const ModelFacts::TokenizerFacts& t = *facts.tokenizer;
  Facts v;
  v("vocab_size", t.vocab_size, "tokenizer",
    fmt::format("{} tokens; BOS '{}' ({}), EOS '{}', pad '{}'", HumanCount(t.vocab_size),
                t.bos_token, t.add_bos ? "added" : "not added", t.eos_token, t.pad_token));
  v("bos_token", t.bos_token);
  v("eos_token", t.eos_token);
  v("pad_token", t.pad_token);
  v("eos_ids", t.eos_ids, "ends at", fmt::format("{}", fmt::join(t.eos_ids, ", ")));
  v("add_bos", t.add_bos);
  v("chat_template", t.chat_template_bytes > 0, "template",
    t.chat_template_bytes > 0 ? fmt::format("{} bytes", t.chat_template_bytes)
                              : "none: a base model");
  if (facts.config && t.vocab_size > facts.config->vocab_size) {
    v.Row("note", fmt::format("the tokenizer knows {} tokens that the model has no row for",
                              t.vocab_size - facts.config->vocab_size));
  }
  return v;
}

OrderedJson PartsJson(const std::vector<ModelFacts::Part>& parts) {
  OrderedJson json = OrderedJson::object();
  for (const ModelFacts::Part& part : parts) {
    json[part.name] = {
        {"tensors", part.tensors}, {"parameters", part.parameters}, {"bytes", part.bytes}};
  }
  return json;
}

std::string PartsText(const ModelFacts& facts) {
  std::string text =
      fmt::format("\n{:<12} {:>8} {:>18} {:>12}\n", "part", "tensors", "parameters", "size");
  const auto row = [&](const std::string& name, int64_t tensors, int64_t parameters,
                       int64_t bytes) {
    text += fmt::format("{:<12} {:>8} {:>18} {:>12}\n", name, tensors, HumanCount(parameters),
                        HumanBytes(bytes));
  };
  for (const auto& p : facts.parts) row(p.name, p.tensors, p.parameters, p.bytes);
  row("all", facts.tensors, facts.parameters, facts.bytes);
  text += "\nstored as\n";
  for (const auto& p : facts.dtypes) row(p.name, p.tensors, p.parameters, p.bytes);
  return text;
}

}  // namespace

ModelFacts InspectModel(const ModelSource& source) {
  ModelFacts facts;
  facts.path = source.path();
  const Json& config = source.config();
  if (config.contains("model_type") && config["model_type"].is_string()) {
    facts.model_type = config["model_type"].get<std::string>();
  }
  try {
    facts.config = ReadModelConfig(source);
  } catch (const Error& e) {
    facts.why_unsupported = e.what();
  }
  for (const ModelSource::Entry& entry : source.entries()) {
    Count(PartOf(entry), entry, &facts.parts);
    Count(DTypeName(entry.dtype), entry, &facts.dtypes);
    ++facts.tensors;
    facts.parameters += SizeOf(entry);
    facts.bytes += DTypeBytes(entry.dtype, SizeOf(entry));
  }
  ReadTokenizer(source, &facts);
  return facts;
}

Facts ModelReport(const ModelFacts& facts) {
  Facts v;
  v("kind", "model");
  v("path", facts.path, "model");
  v("model_type", facts.model_type, "family",
    facts.model_type + (facts.config ? "" : " (not supported)"));
  v("supported", facts.config.has_value());
  if (facts.config) {
    const Facts config = ConfigPart(*facts.config);
    v("why_unsupported", nullptr);
    v("config", config.json);
    v.text += config.text;
  } else {
    v("why_unsupported", facts.why_unsupported, "because");
    v("config", nullptr);
  }
  v("notes", facts.config ? facts.config->notes : std::vector<std::string>());
  v("tensors", facts.tensors);
  v("parameters", facts.parameters);
  v("bytes", facts.bytes);
  v("parts", PartsJson(facts.parts));
  v("dtypes", PartsJson(facts.dtypes));
  if (facts.tokenizer) {
    const Facts tokenizer = TokenizerPart(facts);
    v("tokenizer", tokenizer.json);
    v.text += tokenizer.text;
  } else {
    v("tokenizer", nullptr, "tokenizer",
      facts.why_no_tokenizer.empty() ? "none" : facts.why_no_tokenizer);
  }
  if (facts.config) {
    for (const std::string& note : facts.config->notes) v.Row("note", note);
  }
  v.text += PartsText(facts);
  return v;
}

std::string TensorsText(const ModelSource& source) {
  std::string text = "\n";
  for (const ModelSource::Entry& entry : source.entries()) {
    text += fmt::format("{:<52} {:<5} {}\n", entry.name, DTypeName(entry.dtype),
                        fmt::join(entry.shape, " x "));
  }
  return text;
}

OrderedJson TensorsJson(const ModelSource& source) {
  OrderedJson list = OrderedJson::array();
  for (const ModelSource::Entry& entry : source.entries()) {
    list.push_back(
        {{"name", entry.name}, {"dtype", DTypeName(entry.dtype)}, {"shape", entry.shape}});
  }
  return list;
}

}  // namespace lorikeet
