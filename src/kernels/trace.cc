#include "kernels/trace.h"

#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/format.h"
#include "core/machine.h"
#include "core/profile.h"
#include "core/random.h"
#include "kernels/attention.h"
#include "kernels/expert_rows.h"
#include "kernels/heads.h"

namespace lorikeet {
namespace {

thread_local Recorder* recorder = nullptr;

struct PartNames {
  const char* part = "";
  const std::string* module = nullptr;
  const char* what = "";
};
thread_local PartNames named;

bool SameText(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

bool SameCall(const KernelCall& a, const KernelCall& b) {
  return SameText(a.kernel, b.kernel) && SameText(a.part, b.part) &&
         SameText(a.shape.note, b.shape.note) && a.shape.sizes == b.shape.sizes &&
         a.flops == b.flops && a.bytes == b.bytes;
}

uint64_t HashOf(const KernelCall& call) {
  uint64_t hash = static_cast<uint64_t>(call.bytes) ^ (static_cast<uint64_t>(call.flops) << 17U);
  for (const int64_t size : call.shape.sizes) {
    hash = (hash ^ static_cast<uint64_t>(size)) * 0x9E3779B97F4A7C15U;
    hash ^= hash >> 29U;
  }
  return hash;
}

void AddModule(const std::string& module, std::vector<std::string>* modules) {
  const std::string_view name = std::string_view(module).substr(module.rfind('.') + 1);
  for (const std::string& known : *modules) {
    if (known == name) return;
  }
  modules->emplace_back(name);
}

// Uniform in +-0.5; every page of 4096 values is the same. i32: zeros.
void FillRandom(const Tensor& bytes, DType dtype) {
  if (dtype != DType::kF32 && dtype != DType::kBF16) return;
  constexpr int64_t kPage = 4096;
  const Buffer page(dtype, {kPage});
  const RandomStream random(1, "kernel operands");
  for (int64_t i = 0; i < kPage; ++i) {
    const auto x = static_cast<float>(random.Uniform(static_cast<uint64_t>(i)) - 0.5);
    if (dtype == DType::kF32) {
      page.tensor().as<float>()[i] = x;
    } else {
      page.tensor().as<bfloat16>()[i] = ToBfloat16(x);
    }
  }
  for (int64_t at = 0; at < bytes.bytes(); at += page.tensor().bytes()) {
    std::memcpy(static_cast<std::byte*>(bytes.data) + at, page.tensor().data,
                static_cast<size_t>(std::min(page.tensor().bytes(), bytes.bytes() - at)));
  }
}

// Token t goes to the experts t k, t k + 1, ...: all have equally many rows, or one more.
void FillRouting(const Routing& r) {
  const int64_t T = r.experts.rows(), k = r.experts.cols(), E = r.begins.size() - 1;
  auto* begins = r.begins.as<int32_t>();
  for (int64_t e = 0; e <= E; ++e) {
    begins[e] = static_cast<int32_t>(T * k / E * e + std::min(e, T * k % E));
  }
  for (int64_t i = 0; i < T * k; ++i) {
    const auto row = static_cast<int32_t>(begins[i % E] + i / E);
    r.experts.as<int32_t>()[i] = static_cast<int32_t>(i % E);
    r.rows.as<int32_t>()[i] = row;
    r.tokens.as<int32_t>()[row] = static_cast<int32_t>(i / k);
  }
}

}  // namespace

std::string KernelShape::Text() const {
  std::string text;
  size_t next = 0;
  for (const char* c = format; *c != '\0'; ++c) {
    if (c[0] == '{' && c[1] == '}') {
      text += std::to_string(sizes[next++]);
      ++c;
    } else {
      text += *c;
    }
  }
  return text + note;
}

Replay* Kernel::Begin(const KernelCall& call) {
  if ((trace_flags & kTraceInside) != 0) return nullptr;
  entered_ = true;
  trace_flags |= kTraceInside;
  const char* part = call.part == nullptr ? named.part : call.part;
  if ((trace_flags & kTraceTime) != 0 && !dry() && *part != '\0') {
    timed_ = part;
    begin_ = std::chrono::steady_clock::now();
  }
  return (trace_flags & kTraceRecord) == 0 ? nullptr : recorder->Add(call);
}

void Kernel::End() const {
  trace_flags &= static_cast<uint8_t>(~kTraceInside);
  if (timed_ == nullptr) return;
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin_;
  Profile::Add(timed_, passed.count());
}

void PartScope::Enter(const char* part, const std::string& module, const char* what) {
  entered_ = true;
  named = {part, &module, what};
}

void PartScope::Leave() { named = {}; }

Recorder::Recorder(bool with_replays) : with_replays_(with_replays) {
  CHECK(recorder == nullptr);
  recorder = this;
  trace_flags |= kTraceRecord;
}

Recorder::~Recorder() {
  recorder = nullptr;
  trace_flags &= static_cast<uint8_t>(~kTraceRecord);
}

Replay* Recorder::Add(const KernelCall& call) {
  KernelCall whole = call;
  const bool scoped = call.part == nullptr;
  if (scoped) whole.part = named.part;
  const char* what = scoped ? named.what : "";
  const uint64_t hash = HashOf(whole);
  const auto [begin, end] = index_.equal_range(hash);
  auto at = std::find_if(begin, end, [&](const auto& entry) {
    return SameCall(calls_[entry.second].call, whole) && SameText(calls_[entry.second].what, what);
  });
  const bool is_new = at == end;
  if (is_new) {
    at = index_.emplace(hash, static_cast<uint32_t>(calls_.size()));
    calls_.push_back({whole, what, {}, 0, nullptr});
  }
  RecordedCall& recorded = calls_[at->second];
  ++recorded.count;
  if (scoped && named.module != nullptr) AddModule(*named.module, &recorded.modules);
  order_.push_back(at->second);
  return is_new && with_replays_ ? &recorded.replay : nullptr;
}

Relocate::Relocate(const Replay& replay) {
  {
    const uint8_t before = trace_flags;
    trace_flags = kTraceDry;
    replay(*this);
    trace_flags = before;
  }
  learning_ = false;
  Allocate();
}

// Overlapping pieces become one.
void Relocate::Allocate() {
  std::sort(pieces_.begin(), pieces_.end(),
            [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  std::vector<Piece> merged;
  int64_t taken = 0;
  for (Piece& piece : pieces_) {
    if (!merged.empty() && piece.begin < merged.back().end) {
      merged.back().end = std::max(merged.back().end, piece.end);
    } else {
      merged.push_back(std::move(piece));
    }
  }
  for (const Piece& piece : merged) taken += piece.end - piece.begin;
  const int64_t available = ReadMemory().available;
  if (taken > available) {
    Fail(ErrorCode::kOutOfMemory,
         "the operands of a kernel take {} of memory and {} are available; give fewer --tokens, or "
         "a smaller model",
         HumanBytes(taken), HumanBytes(available));
  }
  pieces_ = std::move(merged);
  for (Piece& piece : pieces_) {
    piece.memory = Buffer(DType::kU8, {piece.end - piece.begin});
    FillRandom(piece.memory.tensor(), piece.dtype);
  }
  for (const Routing& routing : routings_) FillRouting((*this)(routing));
}

void* Relocate::Move(const void* data, DType dtype, int64_t bytes) const {
  auto* begin = static_cast<std::byte*>(const_cast<void*>(data));
  if (begin == nullptr || bytes == 0) return begin;
  if (learning_) {
    pieces_.push_back({begin, begin + bytes, dtype, Buffer()});
    return begin;
  }
  const auto at = std::upper_bound(pieces_.begin(), pieces_.end(), begin,
                                   [](std::byte* a, const Piece& p) { return a < p.begin; });
  CHECK(at != pieces_.begin());
  const Piece& piece = *(at - 1);
  CHECK(begin + bytes <= piece.end);
  return static_cast<std::byte*>(piece.memory.tensor().data) + (begin - piece.begin);
}

Tensor Relocate::operator()(const Tensor& tensor) const {
  Tensor moved = tensor;
  moved.data = Move(tensor.data, tensor.dtype, tensor.bytes());
  return moved;
}

Columns Relocate::operator()(const Columns& columns) const {
  Columns moved = columns;
  moved.matrix = (*this)(columns.matrix);
  return moved;
}

HeadRows Relocate::operator()(const HeadRows& rows) const {
  CHECK(rows.row == nullptr);
  HeadRows moved = rows;
  moved.data = Move(rows.data, rows.dtype,
                    DTypeBytes(rows.dtype, (rows.num_groups - 1) * rows.head_stride +
                                               rows.num_tokens * rows.group_size * rows.head_dim));
  return moved;
}

HeadNorm Relocate::operator()(const HeadNorm& norm) const {
  return {(*this)(norm.w),    norm.eps,  (*this)(norm.xhat),
          (*this)(norm.rstd), norm.kind, norm.after_rope};
}

HeadRope Relocate::operator()(const HeadRope& rope) const {
  return {(*this)(rope.cos), (*this)(rope.sin), rope.interleaved};
}

Routing Relocate::operator()(const Routing& r) const {
  if (learning_) routings_.push_back(r);
  return {(*this)(r.probs),  (*this)(r.experts), (*this)(r.weights),
          (*this)(r.tokens), (*this)(r.rows),    (*this)(r.begins)};
}

std::vector<AttentionSequence> Relocate::operator()(const std::vector<AttentionSequence>& sequences,
                                                    DType dtype, int64_t kv_heads,
                                                    int64_t head_dim) const {
  std::vector<AttentionSequence> moved = sequences;
  for (AttentionSequence& sequence : moved) {
    const int64_t elements =
        (kv_heads - 1) * sequence.head_stride + (sequence.q_len + kAttentionPadding) * head_dim;
    sequence.k = Move(sequence.k, dtype, DTypeBytes(dtype, elements));
    sequence.v = Move(sequence.v, dtype, DTypeBytes(dtype, elements));
  }
  return moved;
}

std::span<const int32_t> Relocate::Tokens(std::span<const int32_t> tokens, int64_t bound) const {
  const RandomStream random(1, "kernel tokens");
  std::vector<int32_t>& made = indices_.emplace_back(tokens.size());
  for (size_t i = 0; i < made.size(); ++i) {
    made[i] = static_cast<int32_t>(random.Below(i, static_cast<uint64_t>(bound)));
  }
  return made;
}

std::span<const int32_t> Relocate::Rows(std::span<const int32_t> rows, int64_t bound) const {
  std::vector<int32_t>& made = indices_.emplace_back(rows.size());
  for (size_t i = 0; i < made.size(); ++i) {
    made[i] =
        static_cast<int32_t>(static_cast<int64_t>(i) * bound / static_cast<int64_t>(made.size()));
  }
  return made;
}

}  // namespace lorikeet
