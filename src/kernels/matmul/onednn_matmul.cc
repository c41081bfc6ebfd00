#include "kernels/matmul/onednn_matmul.h"

#include <fmt/core.h>

#include <dnnl.hpp>
#include <functional>
#include <memory>
#include <unordered_map>

#include "core/arena.h"
#include "core/error.h"
#include "core/parallel.h"

namespace lorikeet {
namespace {

struct Shape {
  int64_t m, n, k;
  MatMulKind kind;
  DType operands, result;
  bool accumulate;
  int threads;
  bool operator==(const Shape&) const = default;
};

struct ShapeHash {
  size_t operator()(const Shape& s) const {
    size_t h = 0;
    for (const int64_t part :
         {s.m, s.n, s.k, static_cast<int64_t>(s.kind), static_cast<int64_t>(s.operands),
          static_cast<int64_t>(s.result), static_cast<int64_t>(s.accumulate),
          static_cast<int64_t>(s.threads)}) {
      h = (h ^ static_cast<size_t>(part)) * 0x9e3779b97f4a7c15ULL;
      h ^= h >> 29;
    }
    return h;
  }
};

dnnl::engine& Engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::memory::data_type DnnlType(DType dtype) {
  CHECK(dtype == DType::kF32 || dtype == DType::kBF16);
  return dtype == DType::kF32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

// oneDNN fixes how work is cut among threads when a primitive is made, so one made for n threads
// must run on n. Inside a parallel region that is one.
class ScopedThreads {
 public:
  explicit ScopedThreads(int threads) : before_(omp_get_max_threads()) {
    omp_set_num_threads(threads);
  }
  ~ScopedThreads() { omp_set_num_threads(before_); }
  ScopedThreads(const ScopedThreads&) = delete;
  ScopedThreads& operator=(const ScopedThreads&) = delete;

 private:
  int before_;
};

dnnl::matmul::primitive_desc Describe(const Shape& s) {
  using dnnl::memory;
  const memory::dims a_strides =
      s.kind == MatMulKind::kTN ? memory::dims{1, s.m} : memory::dims{s.k, 1};
  const memory::dims b_strides =
      s.kind == MatMulKind::kNT ? memory::dims{1, s.k} : memory::dims{s.n, 1};
  const memory::desc a({s.m, s.k}, DnnlType(s.operands), a_strides);
  const memory::desc b({s.k, s.n}, DnnlType(s.operands), b_strides);
  const memory::desc c({s.m, s.n}, DnnlType(s.result), memory::dims{s.n, 1});
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (s.accumulate) {
    dnnl::post_ops ops;
    ops.append_sum(1.0F);
    attr.set_post_ops(ops);
  }
#if DNNL_VERSION_MAJOR >= 3
  return dnnl::matmul::primitive_desc(Engine(), a, b, c, attr);
#else
  return dnnl::matmul::primitive_desc(dnnl::matmul::desc(a, b, c), attr, Engine());
#endif
}

// A primitive with its argument slots; per thread, so that slots can be filled without a lock.
struct Entry {
  dnnl::matmul primitive;
  dnnl::memory a, b, c, scratchpad;
  std::unordered_map<int, dnnl::memory> arguments;
  size_t scratchpad_bytes = 0;

  explicit Entry(const Shape& shape) {
    const ScopedThreads threads(shape.threads);
    const dnnl::matmul::primitive_desc desc = Describe(shape);
    primitive = dnnl::matmul(desc);
    a = dnnl::memory(desc.src_desc(), Engine(), nullptr);
    b = dnnl::memory(desc.weights_desc(), Engine(), nullptr);
    c = dnnl::memory(desc.dst_desc(), Engine(), nullptr);
    scratchpad = dnnl::memory(desc.scratchpad_desc(), Engine(), nullptr);
    scratchpad_bytes = desc.scratchpad_desc().get_size();
    arguments = {{DNNL_ARG_SRC, a},
                 {DNNL_ARG_WEIGHTS, b},
                 {DNNL_ARG_DST, c},
                 {DNNL_ARG_SCRATCHPAD, scratchpad}};
  }
};

struct ThreadState {
  dnnl::stream stream{Engine()};
  std::unordered_map<Shape, std::unique_ptr<Entry>, ShapeHash> entries;
  Buffer scratchpad;
};

// Distinct shapes are few (token budgets are fixed); the bound only guards against odd uses.
constexpr size_t kMaxShapesPerThread = 2048;

ThreadState& State() {
  static thread_local ThreadState state;
  return state;
}

Entry& Find(ThreadState& state, const Shape& shape) {
  const auto found = state.entries.find(shape);
  if (found != state.entries.end()) return *found->second;
  if (state.entries.size() >= kMaxShapesPerThread) state.entries.clear();
  return *state.entries.emplace(shape, std::make_unique<Entry>(shape)).first->second;
}

Shape ShapeOf(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind, bool accumulate) {
  CHECK(a.rank == 2 && b.rank == 2 && c.rank == 2 && a.dtype == b.dtype);
  CHECK(c.dtype == DType::kF32 || (c.dtype == a.dtype && !accumulate));
  const int64_t m = kind == MatMulKind::kTN ? a.cols() : a.rows();
  const int64_t k = kind == MatMulKind::kTN ? a.rows() : a.cols();
  const int64_t n = kind == MatMulKind::kNT ? b.rows() : b.cols();
  CHECK(k == (kind == MatMulKind::kNT ? b.cols() : b.rows()) && k > 0);
  CHECK(c.rows() == m && c.cols() == n);
  const int threads = omp_in_parallel() != 0 ? 1 : NumThreads();
  return {m, n, k, kind, a.dtype, c.dtype, accumulate, threads};
}

}  // namespace

void OneDnnMatMul(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind,
                  bool accumulate) {
  const Shape shape = ShapeOf(a, b, c, kind, accumulate);
  if (shape.m == 0 || shape.n == 0) return;
  ThreadState& state = State();
  try {
    Entry& entry = Find(state, shape);
    if (static_cast<size_t>(state.scratchpad.tensor().size()) < entry.scratchpad_bytes) {
      state.scratchpad = Buffer(DType::kU8, {static_cast<int64_t>(entry.scratchpad_bytes)});
    }
    entry.a.set_data_handle(a.data);
    entry.b.set_data_handle(b.data);
    entry.c.set_data_handle(c.data);
    entry.scratchpad.set_data_handle(state.scratchpad.tensor().data);
    entry.primitive.execute(state.stream, entry.arguments);
  } catch (const dnnl::error& e) {
    Fail(ErrorCode::kUnsupported, "oneDNN cannot multiply {} ({} x {}) by ({} x {}): {}",
         DTypeName(shape.operands), shape.m, shape.k, shape.k, shape.n, e.what());
  }
}

std::string OneDnnVersion() {
  const dnnl::version_t* v = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
}

}  // namespace lorikeet
