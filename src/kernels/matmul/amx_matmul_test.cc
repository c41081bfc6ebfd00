#include "kernels/matmul/amx_matmul.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "core/arena.h"
#include "core/parallel.h"
#include "core/random.h"
#include "kernels/isa.h"
#include "kernels/kernel_for_test.h"

#if defined(__x86_64__) && defined(__linux__)
#include "kernels/matmul/amx_emulation_for_test.h"
// the emulation first
#include "kernels/matmul/amx_matmul-inl.h"
#endif

namespace lorikeet {
namespace {

// On AMX tiles where the machine has them, else on emulated ones.
void Multiply(const MatMulTerm& first, const MatMulTerm* second, const Tensor& c, bool accumulate) {
#if defined(__x86_64__) && defined(__linux__)
  if (!IsaHas(Isa::kAmx)) return MultiplyByTiles(first, second, c, accumulate);
#endif
  AmxMatMul(first, second, c, accumulate);
}

void Multiply(const Tensor& a, const Tensor& b, const Tensor& c, MatMulKind kind, bool accumulate) {
  Multiply({a, b, kind}, nullptr, c, accumulate);
}

struct Sizes {
  int64_t m, n, k;
};

constexpr std::array<MatMulKind, 3> kKinds = {MatMulKind::kNT, MatMulKind::kNN, MatMulKind::kTN};

Buffer Transposed(const Tensor& matrix) {
  Buffer buffer(DType::kBF16, {matrix.cols(), matrix.rows()});
  for (int64_t i = 0; i < matrix.rows(); ++i) {
    for (int64_t j = 0; j < matrix.cols(); ++j) {
      buffer.tensor().as<bfloat16>()[j * matrix.rows() + i] =
          matrix.as<bfloat16>()[i * matrix.cols() + j];
    }
  }
  return buffer;
}

bool SameBits(const Tensor& x, const Tensor& y) {
  return x.bytes() == y.bytes() && std::memcmp(x.data, y.data, static_cast<size_t>(x.bytes())) == 0;
}

// a (M, K) and b (N, K) with the product they ought to have.
struct Case {
  Buffer a, b, a_transposed, b_transposed;
  Sizes sizes;

  explicit Case(const Sizes& s)
      : a(RandomMatrix(DType::kBF16, s.m, s.k, "a", "amx_matmul_test")),
        b(RandomMatrix(DType::kBF16, s.n, s.k, "b", "amx_matmul_test")),
        a_transposed(Transposed(a.tensor())),
        b_transposed(Transposed(b.tensor())),
        sizes(s) {}

  // The same product asked for in each of the three ways.
  MatMulTerm As(MatMulKind kind) const {
    return {kind == MatMulKind::kTN ? a_transposed.tensor() : a.tensor(),
            kind == MatMulKind::kNT ? b.tensor() : b_transposed.tensor(), kind};
  }
  Buffer Product(MatMulKind kind, bool accumulate) const {
    Buffer c = RandomMatrix(DType::kF32, sizes.m, sizes.n, "c", "amx_matmul_test");
    Multiply(As(kind), nullptr, c.tensor(), accumulate);
    return c;
  }
};

class AmxMatMulTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!IsaHas(Isa::kAvx512Bf16)) {
      GTEST_SKIP() << "needs a CPU with AVX512-BF16 (with AMX to test more than an emulation), and "
                      "no LORIKEET_MAX_ISA";
    }
  }
  void TearDown() override { SetNumThreads(before_); }
  int before_ = NumThreads();
};

TEST_F(AmxMatMulTest, EqualsASumInDouble) {
  for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{5, 17, 33}, Sizes{65, 16, 64}, Sizes{16, 70, 31},
                         Sizes{32, 32, 32}, Sizes{33, 47, 700}, Sizes{48, 300, 1281}}) {
    const Case product(s);
    const Buffer before = RandomMatrix(DType::kF32, s.m, s.n, "c", "amx_matmul_test");
    for (const bool accumulate : {false, true}) {
      const Buffer c = product.Product(MatMulKind::kNT, accumulate);
      for (int64_t i = 0; i < s.m; ++i) {
        for (int64_t j = 0; j < s.n; ++j) {
          double sum = accumulate ? before.tensor().as<float>()[i * s.n + j] : 0.0;
          for (int64_t p = 0; p < s.k; ++p) {
            sum += static_cast<double>(ToFloat(product.a.tensor().as<bfloat16>()[i * s.k + p])) *
                   ToFloat(product.b.tensor().as<bfloat16>()[j * s.k + p]);
          }
          ASSERT_NEAR(c.tensor().as<float>()[i * s.n + j], sum,
                      1e-6 * std::sqrt(static_cast<double>(s.k)) + 5e-7)
              << s.m << "x" << s.n << "x" << s.k << " at " << i << ", " << j;
        }
      }
    }
  }
}

// Packing differs between the kinds, and kNT exchanges its operands when M is small; the chain of
// sums does not.
TEST_F(AmxMatMulTest, EveryKindGivesTheSameBits) {
  for (const Sizes& s :
       {Sizes{1, 1, 1}, Sizes{1, 200, 64}, Sizes{200, 1, 65}, Sizes{17, 33, 95},
        Sizes{3, 1000, 576}, Sizes{300, 48, 1536}, Sizes{31, 77, 2049}, Sizes{64, 640, 5000}}) {
    const Case product(s);
    for (const bool accumulate : {false, true}) {
      const Buffer nt = product.Product(MatMulKind::kNT, accumulate);
      for (const MatMulKind kind : {MatMulKind::kNN, MatMulKind::kTN}) {
        EXPECT_TRUE(SameBits(nt.tensor(), product.Product(kind, accumulate).tensor()))
            << s.m << "x" << s.n << "x" << s.k << " kind " << static_cast<int>(kind);
      }
    }
  }
}

TEST_F(AmxMatMulTest, ABf16ResultIsTheRoundedF32One) {
  for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{2, 333, 100}, Sizes{70, 65, 2048},
                         Sizes{3, 40, 20000}, Sizes{128, 64, 576}}) {
    const Case product(s);
    for (const MatMulKind kind : kKinds) {
      const Buffer exact = product.Product(kind, false);
      const Buffer rounded(DType::kBF16, {s.m, s.n});
      Multiply(product.As(kind), nullptr, rounded.tensor(), false);
      for (int64_t i = 0; i < s.m * s.n; ++i) {
        ASSERT_EQ(rounded.tensor().as<bfloat16>()[i].bits,
                  ToBfloat16(exact.tensor().as<float>()[i]).bits);
      }
    }
  }
}

// As a term, the second may lie otherwise than the first, and its chain follows on that of the
// first.
TEST_F(AmxMatMulTest, ASumHasTheBitsOfOneProductAfterTheOther) {
  for (const Sizes& s :
       {Sizes{1, 1, 1}, Sizes{33, 40, 70}, Sizes{5, 333, 2000}, Sizes{128, 64, 96}}) {
    const Case first(s), second({s.m, s.n, 24});
    for (const MatMulKind kind : kKinds) {
      const MatMulTerm added = second.As(kKinds[2 - static_cast<size_t>(kind)]);
      for (const bool accumulate : {false, true}) {
        const Buffer apart = first.Product(kind, accumulate);
        Multiply(added, nullptr, apart.tensor(), true);
        const Buffer sum = RandomMatrix(DType::kF32, s.m, s.n, "c", "amx_matmul_test");
        Multiply(first.As(kind), &added, sum.tensor(), accumulate);
        EXPECT_TRUE(SameBits(apart.tensor(), sum.tensor())) << s.m << "x" << s.n << "x" << s.k;
        if (accumulate) continue;
        const Buffer rounded(DType::kBF16, {s.m, s.n});
        Multiply(first.As(kind), &added, rounded.tensor(), false);
        for (int64_t i = 0; i < s.m * s.n; ++i) {
          ASSERT_EQ(rounded.tensor().as<bfloat16>()[i].bits,
                    ToBfloat16(sum.tensor().as<float>()[i]).bits);
        }
      }
    }
  }
}

// Any rows of a product, wherever they stand, must equal a product of those rows alone.
void ExpectRowsIndependent(int64_t many, int64_t n, int64_t k, const std::vector<int64_t>& counts) {
  const Case product({many, n, k});
  for (const bool accumulate : {false, true}) {
    for (const MatMulKind kind : {MatMulKind::kNT, MatMulKind::kNN}) {
      SetNumThreads(2);
      const Buffer whole = product.Product(kind, accumulate);
      const Tensor& b =
          kind == MatMulKind::kNT ? product.b.tensor() : product.b_transposed.tensor();
      for (const int64_t m : counts) {
        const int64_t first = m % 7;
        SetNumThreads(1 + static_cast<int>(m % 4));
        const Buffer part = RandomMatrix(DType::kF32, many, n, "c", "amx_matmul_test");
        const Tensor rows = part.tensor().Rows(first, first + m);
        Multiply(product.a.tensor().Rows(first, first + m), b, rows, kind, accumulate);
        ASSERT_TRUE(SameBits(whole.tensor().Rows(first, first + m), rows))
            << "m " << m << " n " << n << " k " << k << " kind " << static_cast<int>(kind)
            << " accumulate " << accumulate;
      }
    }
  }
}

TEST_F(AmxMatMulTest, RowsDoNotDependOnTheNumberOfRows) {
  for (const int64_t n : {1, 16, 192}) {
    for (const int64_t k : {1, 16, 576}) ExpectRowsIndependent(300, n, k, {1, 2, 3, 17, 64, 129});
  }
}

TEST_F(AmxMatMulTest, ColumnsDoNotDependOnTheNumberOfColumns) {
  const int64_t m = 40, many = 700, k = 1000;
  const Case product({m, many, k});
  const Buffer whole = product.Product(MatMulKind::kNT, false);
  for (const int64_t n : {1, 15, 33, 500}) {
    const int64_t first = n % 7;
    const Buffer part(DType::kF32, {m, n});
    Multiply(product.a.tensor(), product.b.tensor().Rows(first, first + n), part.tensor(),
             MatMulKind::kNT, false);
    for (int64_t i = 0; i < m; ++i) {
      ASSERT_EQ(std::memcmp(whole.tensor().as<float>() + i * many + first,
                            part.tensor().as<float>() + i * n, static_cast<size_t>(n) * 4),
                0)
          << "n " << n << " row " << i;
    }
  }
}

TEST_F(AmxMatMulTest, ThreadsDoNotChangeBits) {
  for (const Sizes& s : {Sizes{1, 576, 2048}, Sizes{16, 1536, 2048}, Sizes{4, 192, 777},
                         Sizes{576, 192, 333}, Sizes{300, 576, 1536}, Sizes{70, 40, 9000}}) {
    const Case product(s);
    for (const MatMulKind kind : kKinds) {
      SetNumThreads(1);
      const Buffer one = product.Product(kind, true);
      for (const int threads : {2, 3, 4, 7}) {
        SetNumThreads(threads);
        EXPECT_TRUE(SameBits(one.tensor(), product.Product(kind, true).tensor()))
            << s.m << "x" << s.n << "x" << s.k << " kind " << static_cast<int>(kind) << " threads "
            << threads;
      }
    }
  }
}

TEST_F(AmxMatMulTest, InsideAParallelRegionItRunsOnOneThreadWithTheSameBits) {
  SetNumThreads(2);
  const Case product({100, 70, 64});
  const Buffer outside = product.Product(MatMulKind::kNT, false);
  std::array<Buffer, 8> inside;
  ParallelDynamic(std::ssize(inside),
                  [&](int64_t i) { inside[i] = product.Product(MatMulKind::kNT, false); });
  for (const Buffer& c : inside) EXPECT_TRUE(SameBits(outside.tensor(), c.tensor()));
}

// A matrix whose last element ends where memory ends.
class AtTheEdge {
 public:
  explicit AtTheEdge(const Tensor& matrix) : bytes_(static_cast<size_t>(matrix.bytes())) {
    page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    pages_ = (bytes_ + page_ - 1) / page_ * page_;
    memory_ = static_cast<char*>(
        mmap(nullptr, pages_ + page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    CHECK(memory_ != MAP_FAILED);
    CHECK(mprotect(memory_ + pages_, page_, PROT_NONE) == 0);
    tensor_ = matrix;
    tensor_.data = memory_ + pages_ - bytes_;
    std::memcpy(tensor_.data, matrix.data, bytes_);
  }
  ~AtTheEdge() { munmap(memory_, pages_ + page_); }
  AtTheEdge(const AtTheEdge&) = delete;
  AtTheEdge& operator=(const AtTheEdge&) = delete;
  const Tensor& tensor() const { return tensor_; }

 private:
  size_t bytes_, page_, pages_;
  char* memory_;
  Tensor tensor_;
};

// Also: operands aligned to an element only, and c no more.
TEST_F(AmxMatMulTest, NothingIsReadOrWrittenPastTheEnd) {
  for (const Sizes& s : {Sizes{1, 1, 1}, Sizes{3, 5, 7}, Sizes{33, 31, 63}, Sizes{1, 97, 40},
                         Sizes{64, 64, 64}, Sizes{77, 1, 129}, Sizes{16, 333, 1000}}) {
    const Case product(s);
    const AtTheEdge a(product.a.tensor()), a_transposed(product.a_transposed.tensor());
    const AtTheEdge b(product.b.tensor()), b_transposed(product.b_transposed.tensor());
    for (const bool accumulate : {false, true}) {
      for (const MatMulKind kind : kKinds) {
        const Buffer expected = product.Product(kind, accumulate);
        const AtTheEdge c(RandomMatrix(DType::kF32, s.m, s.n, "c", "amx_matmul_test").tensor());
        Multiply(kind == MatMulKind::kTN ? a_transposed.tensor() : a.tensor(),
                 kind == MatMulKind::kNT ? b.tensor() : b_transposed.tensor(), c.tensor(), kind,
                 accumulate);
        EXPECT_TRUE(SameBits(expected.tensor(), c.tensor()));
      }
    }
  }
}

// What lies beside an operand must not leak in: zeros of the padding times NaN would be NaN.
TEST_F(AmxMatMulTest, NeighboursOfAnOperandAreNotMultiplied) {
  const Case product({40, 50, 45});
  const Tensor& whole = product.a.tensor();
  for (int64_t i = 20 * 45; i < 40 * 45; ++i) whole.as<bfloat16>()[i].bits = 0x7fc0;
  const Buffer c(DType::kF32, {20, 50});
  for (const MatMulKind kind : {MatMulKind::kNT, MatMulKind::kNN}) {
    const Tensor& b = kind == MatMulKind::kNT ? product.b.tensor() : product.b_transposed.tensor();
    Multiply(whole.Rows(0, 20), b, c.tensor(), kind, false);
    for (int64_t i = 0; i < 20 * 50; ++i) ASSERT_TRUE(std::isfinite(c.tensor().as<float>()[i]));
  }
}

class SlowAmxMatMulTest : public AmxMatMulTest {
 protected:
  void SetUp() override {
    if (!IsaHas(Isa::kAmx)) GTEST_SKIP() << "an emulation would take minutes";
  }
};
TEST_F(SlowAmxMatMulTest, RowsDoNotDependOnTheNumberOfRows) {
  std::vector<int64_t> counts;
  for (int64_t m = 1; m <= 300; m += m < 70 ? 1 : 13) counts.push_back(m);
  for (const int64_t n : {1, 2, 16, 48, 100, 576}) {
    for (const int64_t k : {1, 24, 100, 576, 1536, 8192}) {
      ExpectRowsIndependent(2048, n, k, counts);
    }
  }
}

}  // namespace
}  // namespace lorikeet
