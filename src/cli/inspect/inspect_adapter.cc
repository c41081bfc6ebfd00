#include "cli/inspect/inspect_adapter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "checkpoint/adapter_formats.h"
#include "core/error.h"
#include "core/float16.h"
#include "core/format.h"
#include "core/parallel.h"
#include "model/config.h"

namespace lorikeet {
namespace {

constexpr int kMaxRank = 8192;  // bounds two matrices (R, R) in double per thread

// Values of a stored factor, transposed on request so that rows are ranks.
std::vector<float> Values(const Tensor& t, bool transposed) {
  const int64_t rows = t.rows(), cols = t.cols();
  std::vector<float> values(static_cast<size_t>(t.size()));
  for (int64_t i = 0; i < t.size(); ++i) {
    float x = 0;
    if (t.dtype == DType::kF32) {
      x = t.as<float>()[i];
    } else if (t.dtype == DType::kBF16) {
      x = ToFloat(t.as<bfloat16>()[i]);
    } else {
      x = ToFloat(t.as<float16>()[i]);
    }
    const int64_t to = transposed ? i % cols * rows + i / cols : i;
    values[static_cast<size_t>(to)] = x;
  }
  return values;
}

// The Gram matrix x x^T of x (r, n), in double.
std::vector<double> Gram(const std::vector<float>& x, int64_t r) {
  const int64_t n = static_cast<int64_t>(x.size()) / r;
  std::vector<double> gram(static_cast<size_t>(r * r));
  for (int64_t i = 0; i < r; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const float *a = x.data() + i * n, *b = x.data() + j * n;
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(a[k]) * b[k];
      gram[static_cast<size_t>(i * r + j)] = gram[static_cast<size_t>(j * r + i)] = sum;
    }
  }
  return gram;
}

void Multiply(const std::vector<double>& m, const std::vector<double>& x, std::vector<double>* y) {
  const size_t r = x.size();
  for (size_t i = 0; i < r; ++i) {
    double sum = 0;
    for (size_t j = 0; j < r; ++j) sum += m[i * r + j] * x[j];
    (*y)[i] = sum;
  }
}

// Largest eigenvalue of p q, both positive semidefinite (r, r); q empty: of p. Power iteration from
// a vector of ones with a slope, so that symmetry cannot keep it at a smaller eigenvalue.
double LargestEigenvalue(const std::vector<double>& p, const std::vector<double>& q, int64_t r) {
  std::vector<double> x(static_cast<size_t>(r)), y(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1 + 0.37 * static_cast<double>(i % 7);
  double value = 0;
  for (int iteration = 0; iteration < 1000; ++iteration) {
    double norm = 0;
    for (const double v : x) norm += v * v;
    if (norm == 0 || !std::isfinite(norm)) return std::sqrt(norm);
    for (double& v : x) v /= std::sqrt(norm);
    Multiply(p, x, &y);
    if (!q.empty()) {
      x = y;
      Multiply(q, x, &y);
    }
    double length = 0;
    for (const double v : y) length += v * v;
    const double before = value;
    value = std::sqrt(length);
    x = y;
    if (std::abs(value - before) <= 1e-10 * value) break;
  }
  return value;
}

AdapterFacts::Module ModuleFacts(const AdapterFile::Pair& pair, const LoraConfig& config,
                                 bool spectral) {
  AdapterFacts::Module m;
  m.name = pair.module;
  m.in = pair.a.cols();
  m.out = pair.b.rows();
  m.r = pair.r;
  const auto r = static_cast<double>(pair.r);
  m.scale = pair.alpha / (config.use_rslora ? std::sqrt(r) : r);
  const std::vector<float> a = Values(pair.a, false), bt = Values(pair.b, true);
  m.zero_b = std::all_of(bt.begin(), bt.end(), [](float x) { return x == 0; });
  const auto finite = [](float x) { return std::isfinite(x); };
  m.finite = std::all_of(a.begin(), a.end(), finite) && std::all_of(bt.begin(), bt.end(), finite);
  const std::vector<double> aa = Gram(a, m.r), bb = Gram(bt, m.r);
  // ||B A||_F^2 = tr(A^T B^T B A) = sum of the products of the two Gram matrices' entries.
  double squares = 0;
  for (size_t i = 0; i < aa.size(); ++i) squares += aa[i] * bb[i];
  m.ba = std::sqrt(std::max(squares, 0.0));
  if (std::isnan(squares)) m.ba = squares;
  if (spectral) {
    m.spectral_a = std::sqrt(LargestEigenvalue(aa, {}, m.r));
    m.spectral_b = std::sqrt(LargestEigenvalue(bb, {}, m.r));
    m.spectral_ba = std::sqrt(LargestEigenvalue(aa, bb, m.r));
  }
  return m;
}

// The weight of a module.
const ModelSource::Entry* WeightOf(const std::string& module, const ModelSource& base) {
  const ModelSource::Entry* entry = base.Find(module + ".weight");
  if (entry == nullptr && module == "lm_head") entry = base.Find(base.embedding_name());
  return entry;
}

double SumOfSquares(const ModelSource& base, const ModelSource::Entry& entry) {
  std::vector<float> values(static_cast<size_t>(entry.shape[0] * entry.shape[1]));
  base.Read(entry.name, DType::kF32, values.data());
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  // NOLINTNEXTLINE(modernize-loop-convert): OpenMP wants an index
  for (size_t i = 0; i < values.size(); ++i) sum += static_cast<double>(values[i]) * values[i];
  return sum;
}

AttentionHeads HeadsOf(const ModelSource& base) {
  const ModelConfig config = ReadModelConfig(base.config(), base.path());
  return {config.num_attention_heads, config.num_key_value_heads};
}

void CheckTargetsFilled(const ModelSource& base, AdapterFacts* facts) {
  for (const ModelSource::Entry& entry : base.entries()) {
    if (entry.shape.size() != 2 || !entry.name.ends_with(".weight")) continue;
    const std::string module = entry.name.substr(0, entry.name.size() - 7);
    if (module + ".weight" == base.embedding_name() || !IsTarget(facts->config, module)) continue;
    const bool filled = std::any_of(facts->modules.begin(), facts->modules.end(),
                                    [&](const auto& m) { return m.name == module; });
    if (!filled) {
      facts->misfits.push_back(
          fmt::format("{}: the config targets it, but the file has no factors", module));
    }
  }
}

void CheckFit(const ModelSource& base, AdapterFacts* facts) {
  facts->base_given = true;
  facts->base = base.path();
  double delta = 0, weights = 0;
  for (const AdapterFacts::Module& m : facts->modules) {
    const ModelSource::Entry* entry = WeightOf(m.name, base);
    if (entry == nullptr) {
      facts->misfits.push_back(fmt::format("{}: the model has no such module", m.name));
    } else if (entry->shape != std::vector<int64_t>{m.out, m.in}) {
      facts->misfits.push_back(fmt::format("{}: made for {} x {}, the model's is {}", m.name, m.out,
                                           m.in, fmt::join(entry->shape, " x ")));
    } else {
      delta += m.scale * m.scale * m.ba * m.ba;
      weights += SumOfSquares(base, *entry);
    }
  }
  CheckTargetsFilled(base, facts);
  facts->delta_of_base = weights > 0 ? std::sqrt(delta / weights) : 0;
}

std::string TargetsText(const AdapterFacts& facts) {
  std::map<std::string, int64_t> counts;
  for (const auto& m : facts.modules) ++counts[m.name.substr(m.name.rfind('.') + 1)];
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} x {}", count, name));
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string ScaleText(const AdapterFacts& facts) {
  const LoraConfig& c = facts.config;
  std::string text = fmt::format("r {}, alpha {:g}", c.r, c.lora_alpha);
  if (!facts.modules.empty()) {
    const auto [low, high] =
        std::minmax_element(facts.modules.begin(), facts.modules.end(),
                            [](const auto& a, const auto& b) { return a.scale < b.scale; });
    text += low->scale == high->scale
                ? fmt::format(", scale {:g}", low->scale)
                : fmt::format(", scales {:g} to {:g}", low->scale, high->scale);
  }
  if (c.use_rslora) text += " (alpha / sqrt(r))";
  if (c.use_dora) text += ", DoRA";
  if (!c.rank_pattern.empty()) text += fmt::format(", {} rank patterns", c.rank_pattern.size());
  if (!c.alpha_pattern.empty()) text += fmt::format(", {} alpha patterns", c.alpha_pattern.size());
  return text;
}

void ReportFit(const AdapterFacts& facts, Facts& v) {
  v("model", facts.base);
  v("fits", facts.misfits.empty());
  v("misfits", facts.misfits);
  v("delta_relative_to_base", facts.delta_of_base);
  if (facts.misfits.empty()) {
    v.Row("fits", fmt::format("{}; |s B A| is {:.2e} of the adapted weights' norm", facts.base,
                              facts.delta_of_base));
    return;
  }
  v.Row("does not fit", facts.base);
  constexpr size_t kMaxShown = 10;
  for (size_t i = 0; i < std::min(kMaxShown, facts.misfits.size()); ++i) {
    v.text += "  " + facts.misfits[i] + "\n";
  }
  if (facts.misfits.size() > kMaxShown) {
    v.text += fmt::format("  and {} more\n", facts.misfits.size() - kMaxShown);
  }
}

OrderedJson ModulesJson(const AdapterFacts& facts, bool spectral) {
  OrderedJson modules = OrderedJson::array();
  for (const AdapterFacts::Module& m : facts.modules) {
    OrderedJson json = {{"module", m.name}, {"r", m.r},        {"in", m.in},        {"out", m.out},
                        {"scale", m.scale}, {"ba_norm", m.ba}, {"zero_b", m.zero_b}};
    if (spectral) {
      json["spectral_norm_a"] = m.spectral_a;
      json["spectral_norm_b"] = m.spectral_b;
      json["spectral_norm_ba"] = m.spectral_ba;
    }
    modules.push_back(std::move(json));
  }
  return modules;
}

std::string ModulesText(const AdapterFacts& facts, bool spectral) {
  std::string text = fmt::format("\n{:<44} {:>5} {:>12} {:>8} {:>10} {:>10}", "module", "r",
                                 "out x in", "scale", "|B A|", "|s B A|");
  text += spectral ? fmt::format(" {:>10} {:>10} {:>10}\n", "||A||2", "||B||2", "||B A||2") : "\n";
  for (const AdapterFacts::Module& m : facts.modules) {
    text += fmt::format("{:<44} {:>5} {:>12} {:>8.3g} {:>10.3e} {:>10.3e}", m.name, m.r,
                        fmt::format("{} x {}", m.out, m.in), m.scale, m.ba, m.scale * m.ba);
    text += spectral ? fmt::format(" {:>10.3e} {:>10.3e} {:>10.3e}\n", m.spectral_a, m.spectral_b,
                                   m.spectral_ba)
                     : "\n";
  }
  return text;
}

std::string ZeroText(const AdapterFacts& facts) {
  if (facts.zero_b == 0) return "in no module";
  return fmt::format("{} of {} modules: {}", facts.zero_b, facts.modules.size(),
                     facts.zero_b == std::ssize(facts.modules)
                         ? "the adapter does nothing (it was not trained)"
                         : "the adapter does nothing there");
}

}  // namespace

AdapterFacts InspectAdapter(const std::string& dir, bool spectral, const ModelSource* base) {
  const AdapterFile file = ReadAnyAdapter(dir, base != nullptr ? HeadsOf(*base) : AttentionHeads());
  AdapterFacts facts;
  facts.path = dir;
  facts.format = AdapterFormatName(AdapterFormatOf(dir).value());
  facts.config = file.config;
  for (const AdapterFile::Pair& pair : file.pairs) {
    if (pair.r <= kMaxRank) continue;
    Fail(ErrorCode::kUnsupported, "{}: {} has rank {}; norms are computed up to rank {}", dir,
         pair.module, pair.r, kMaxRank);
  }
  facts.modules.resize(file.pairs.size());
  ParallelDynamic(std::ssize(file.pairs), [&](int64_t i) {
    const auto index = static_cast<size_t>(i);
    facts.modules[index] = ModuleFacts(file.pairs[index], file.config, spectral);
  });
  for (const AdapterFile::Pair& pair : file.pairs) {
    facts.parameters += pair.a.size() + pair.b.size() + pair.magnitude.size();
    facts.bytes += pair.a.bytes() + pair.b.bytes() + pair.magnitude.bytes();
  }
  for (const AdapterFacts::Module& m : facts.modules) {
    facts.zero_b += m.zero_b ? 1 : 0;
    facts.not_finite += m.finite ? 0 : 1;
  }
  if (base == nullptr) return facts;
  CheckFit(*base, &facts);
  try {
    CheckBaseCopies(file, *base, dir);
  } catch (const Error& e) {
    facts.misfits.emplace_back(e.what());
  }
  return facts;
}

Facts AdapterReport(const AdapterFacts& facts, bool spectral) {
  const std::string& base = facts.config.base_model_name_or_path;
  Facts v;
  v("kind", "adapter");
  v("path", facts.path, "adapter", fmt::format("{} ({})", facts.path, facts.format));
  v("format", facts.format);
  v("base_model", base, "base", base.empty() ? "not named" : base);
  v("r", facts.config.r, "factors", ScaleText(facts));
  v("lora_alpha", facts.config.lora_alpha);
  v("use_rslora", facts.config.use_rslora);
  v.Row("targets", fmt::format("{} modules: {}", facts.modules.size(), TargetsText(facts)));
  v("parameters", facts.parameters, "parameters",
    fmt::format("{}, {}", HumanCount(facts.parameters), HumanBytes(facts.bytes)));
  v("bytes", facts.bytes);
  v("modules_with_zero_b", facts.zero_b, "zero B", ZeroText(facts));
  v("modules_not_finite", facts.not_finite);
  if (facts.not_finite > 0)
    v.Row("not finite", fmt::format("{} modules hold NaN or infinity", facts.not_finite));
  v("modules", ModulesJson(facts, spectral));
  if (facts.base_given) ReportFit(facts, v);
  v.text += ModulesText(facts, spectral);
  return v;
}

}  // namespace lorikeet
