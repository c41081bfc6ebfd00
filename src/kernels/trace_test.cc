#include "kernels/trace.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/activation.h"
#include "kernels/adamw.h"
#include "kernels/attention.h"
#include "kernels/cast.h"
#include "kernels/column_scale.h"
#include "kernels/copy.h"
#include "kernels/cross_entropy.h"
#include "kernels/embedding.h"
#include "kernels/expert_rows.h"
#include "kernels/heads.h"
#include "kernels/kernel_for_test.h"
#include "kernels/layer_norm.h"
#include "kernels/matmul/matmul.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"
#include "kernels/sigmoid.h"
#include "kernels/swiglu.h"

namespace lorikeet {
namespace {

constexpr DType kF32 = DType::kF32, kI32 = DType::kI32;
constexpr int64_t T = 6, D = 8, K = 2, G = 2, Dh = 4, E = 4, V = 12;

// Buffers that exist as long as the kernels that use them; without memory in a DryScope.
class Memory {
 public:
  Tensor operator()(DType dtype, std::initializer_list<int64_t> shape) {
    const Tensor t = pool_.Take(dtype, shape);
    if (!DryScope::active() && dtype == kF32) {
      for (int64_t i = 0; i < t.size(); ++i) t.as<float>()[i] = 0.125F * (i % 7) - 0.25F;
    }
    return t;
  }
  Tensor operator()(std::initializer_list<int64_t> shape) { return (*this)(kF32, shape); }

 private:
  TensorPool pool_;
};

struct Case {
  const char* name;
  std::function<void(Memory&)> run;
};

const std::vector<int32_t> kTokens = {0, 2, 1, 5, 3, 4};
const std::vector<int64_t> kRows = {0, 2, 1, 5, 3, 4};

Routing MakeRouting(Memory& m) {
  return {m({T, E}),        m(kI32, {T, 2}), m({2 * T}),
          m(kI32, {2 * T}), m(kI32, {T, 2}), m(kI32, {E + 1})};
}

std::vector<AttentionSequence> Sequences(const Tensor& k, const Tensor& v) {
  const auto at = [](const Tensor& x, int64_t row) {
    return static_cast<const std::byte*>(x.data) + row * Dh * 4;
  };
  const int64_t stride = (T + kAttentionPadding) * Dh;
  return {{0, 4, 4, at(k, 0), at(v, 0), stride}, {4, 2, 2, at(k, 4), at(v, 4), stride}};
}

std::vector<Case> NormAndMlpCases() {
  return {
      {"RmsNormForward",
       [](Memory& m) {
         RmsNormForward(m({T, D}), m({D}), 1e-5F, m({T, D}), m({T, D}), m({T}));
       }},
      {"RmsNormScale",
       [](Memory& m) {
         RmsNormScale(m({T, D}), m({D}), m({T, D}));
       }},
      {"RmsNormBackward",
       [](Memory& m) {
         RmsNormBackward(m({T, D}), m({T, D}), m({D}), m({T}), m({T, D}), m({D}));
       }},
      {"LayerNormForward",
       [](Memory& m) {
         LayerNormForward(m({T, D}), m({D}), m({D}), 1e-5F, m({T, D}), m({T, D}), m({T}));
       }},
      {"LayerNormScale",
       [](Memory& m) {
         LayerNormScale(m({T, D}), m({D}), m({D}), m({T, D}));
       }},
      {"LayerNormBackward",
       [](Memory& m) {
         LayerNormBackward(m({T, D}), m({T, D}), m({D}), m({T}), m({T, D}), m({D}), m({D}));
       }},
      {"SquaredReluForward",
       [](Memory& m) {
         SquaredReluForward(m({T, D}), m({T, D}));
       }},
      {"SquaredReluBackward",
       [](Memory& m) {
         SquaredReluBackward(m({T, D}), m({T, D}), m({T, D}), m({T, D}));
       }},
      {"GeluForward",
       [](Memory& m) {
         GeluForward(m({T, D}), m({T, D}));
       }},
      {"GeluBackward",
       [](Memory& m) {
         GeluBackward(m({T, D}), m({T, D}), m({T, D}), m({T, D}));
       }},
      {"SwigluForward",
       [](Memory& m) {
         SwigluForward(m({T, D}), m({T, D}), m({T, D}), m({T, D}), m({T, D}));
       }},
      {"SwigluRecompute",
       [](Memory& m) {
         SwigluRecompute(m({T, D}), m({T, D}), m({T, D}));
       }},
      {"SwigluBackward",
       [](Memory& m) {
         SwigluBackward(m({T, D}), m({T, D}), m({T, D}), m({T, D}), m({T, D}), m({T, D}));
       }},
      {"WeightedSwigluForward",
       [](Memory& m) {
         WeightedSwigluForward(m({T, D}), m({T, D}), m({T}), m({T, D}));
       }},
      {"WeightedSwigluBackward",
       [](Memory& m) {
         WeightedSwigluBackward(m({T, D}), m({T, D}), m({T, D}), m({T}), m({T, D}), m({T, D}),
                                m({T, D}), m({T}));
       }},
      {"SigmoidForward", [](Memory& m) { SigmoidForward(m({T}), m({T})); }},
      {"SigmoidBackward", [](Memory& m) { SigmoidBackward(m({T}), m({T}), m({T})); }},
      {"RouteForward",
       [](Memory& m) {
         RouteForward(m({T, E}), true, MakeRouting(m));
       }},
      {"GatherRows",
       [](Memory& m) {
         GatherRows(m({T, D}), kTokens, m({T, D}));
       }},
      {"AddToRows",
       [](Memory& m) {
         AddToRows(m({T, D}), kTokens, m({T, D}));
       }},
  };
}

std::vector<Case> AttentionCases() {
  const int64_t H = K * G;
  return {
      {"SplitHeadsForward",
       [=](Memory& m) {
         const HeadNorm norm{m({Dh}), 1e-6F, m({T, H * Dh}), m({T, H})};
         const HeadRope rope{m({T, Dh / 2}), m({T, Dh / 2})};
         SplitHeadsForward(m({T, H * Dh}), &norm, &rope, m({K, T, G, Dh}));
       }},
      {"SplitHeadsBackward",
       [=](Memory& m) {
         const HeadRope rope{m({T, Dh / 2}), m({T, Dh / 2})};
         SplitHeadsBackward(m({K, T, G, Dh}), nullptr, &rope, m({T, H * Dh}), Tensor());
       }},
      {"MergeHeads",
       [=](Memory& m) {
         MergeHeads(m({K, T, G, Dh}), m({T, H * Dh}));
       }},
      {"AttentionForward",
       [=](Memory& m) {
         const Tensor k = m({K, T + kAttentionPadding, Dh}), v = m({K, T + kAttentionPadding, Dh});
         AttentionForward({K, G, Dh, 0.5F}, m({K, T, G, Dh}), Sequences(k, v), m({T, H * Dh}),
                          m({K, T, G}));
       }},
      {"AttentionBackward",
       [=](Memory& m) {
         const Tensor k = m({K, T + kAttentionPadding, Dh}), v = m({K, T + kAttentionPadding, Dh});
         AttentionBackward({K, G, Dh, 0.5F}, m({T, H * Dh}), m({K, T, G, Dh}), Sequences(k, v),
                           m({K, T, G}), m({K, T, G, Dh}), m({K, T, Dh}), m({K, T, Dh}));
       }},
      {"FillCosSin",
       [](Memory& m) {
         RopeTable(Dh, 1e4, {}).FillCosSin(kTokens, m({T, Dh / 2}), m({T, Dh / 2}));
       }},
  };
}

std::vector<Case> OtherCases() {
  return {
      {"MatMul NT",
       [](Memory& m) {
         MatMul(m({T, D}), m({V, D}), m({T, V}), MatMulKind::kNT);
       }},
      {"MatMul TN +=",
       [](Memory& m) {
         MatMul(m({T, D}), m({T, V}), m({D, V}), MatMulKind::kTN, true);
       }},
      {"MatMulSum NT",
       [](Memory& m) {
         MatMulSum({m({T, D}), m({V, D}), MatMulKind::kNT}, {m({T, 2}), m({2, V}), MatMulKind::kNN},
                   m({T, V}));
       }},
      {"Convert",
       [](Memory& m) {
         Convert(m({T, D}), m(DType::kBF16, {T, D}));
       }},
      {"Transpose",
       [](Memory& m) {
         Transpose(m({T, D}), m({D, T}));
       }},
      {"ScaleCastTranspose",
       [](Memory& m) {
         ScaleCastTranspose(m({T, D}), 2, m({T, D}), m({D, T}));
       }},
      {"AddBias",
       [](Memory& m) {
         AddBias(m({T, D}), m({D}));
       }},
      {"AddInto",
       [](Memory& m) {
         AddInto(m({T, D}), m({T, D}));
       }},
      {"Scale",
       [](Memory& m) {
         Scale(m({T, D}), 2);
       }},
      {"ScaleColumns",
       [](Memory& m) {
         ScaleColumns(m({T, D}), m({D}), m({T, D}), true);
       }},
      {"AddColumnDots",
       [](Memory& m) {
         AddColumnDots(m({T, D}), m({T, D}), m({D}), m({D}));
       }},
      {"RowLengths",
       [](Memory& m) {
         RowLengths(m({T, D}), m({T}));
       }},
      {"ColumnSums",
       [](Memory& m) {
         ColumnSums(m({T, D}), m({D}));
       }},
      {"Zero",
       [](Memory& m) {
         Zero(m({T, D}));
       }},
      {"CopyRows",
       [](Memory& m) {
         CopyRows(m({T, D}), kRows, m({T, D}));
       }},
      {"PutRows",
       [](Memory& m) {
         PutRows(m({T, D}), kRows, m({T, D}));
       }},
      {"CopyToHost",
       [](Memory& m) {
         std::vector<float> host(T * D, 1.0F);
         CopyToHost(m({T, D}), host);
       }},
      {"CopyFromHost",
       [](Memory& m) {
         CopyFromHost(std::vector<float>(T * D), m({T, D}));
       }},
      {"EmbeddingForward",
       [](Memory& m) {
         EmbeddingForward(kTokens, m({V, D}), m({T, D}));
       }},
      {"EmbeddingBackward",
       [](Memory& m) {
         EmbeddingBackward(kTokens, m({T, D}), m({V, D}));
       }},
      {"TargetLogprobs",
       [](Memory& m) {
         TargetLogprobs(m({T, V}), kTokens, m({T}), m({T}));
       }},
      {"TokenLogprobs",
       [](Memory& m) {
         TokenLogprobs(m({T, V}), kTokens, m({T, 1}));
       }},
      {"LogprobBackward",
       [](Memory& m) {
         LogprobBackward(m({T, V}), kTokens, m({T}), m({T}), m({T, V}));
       }},
      {"RowEntropy",
       [](Memory& m) {
         RowEntropy(m({T, V}), m({T}), m({T}));
       }},
      {"ScaleLogits",
       [](Memory& m) {
         ScaleLogits(m({T, V}), 2);
       }},
      {"RowArgmax",
       [](Memory& m) {
         std::vector<int32_t> index(T, 1);
         RowArgmax(m({T, V}), index);
       }},
      {"SumOfSquares", [](Memory& m) { SumOfSquares(m({D})); }},
      {"AllFinite", [](Memory& m) { EXPECT_TRUE(AllFinite(m({D}))); }},
      {"AdamWUpdate", [](Memory& m) { AdamWUpdate(m({D}), m({D}), m({D}), m({D}), {}); }},
  };
}

std::vector<Case> Cases() {
  std::vector<Case> cases = NormAndMlpCases();
  for (const auto& more : {AttentionCases(), OtherCases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

TEST(Trace, EveryKernelIsRecordedOnceAndAlikeWhenDry) {
  for (const Case& item : Cases()) {
    SCOPED_TRACE(item.name);
    Memory memory;
    Recorder* wet = nullptr;
    std::vector<RecordedCall> calls;
    {
      Recorder recorder;
      wet = &recorder;
      item.run(memory);
      calls.assign(wet->calls().begin(), wet->calls().end());
    }
    ASSERT_EQ(calls.size(), 1);
    EXPECT_EQ(calls[0].call.kernel, std::string(item.name));
    EXPECT_EQ(calls[0].count, 1);
    EXPECT_GT(calls[0].call.bytes, 0);

    const DryScope dry;
    Memory nothing;
    Recorder recorder;
    item.run(nothing);
    ASSERT_EQ(recorder.order().size(), 1);
    const RecordedCall& call = recorder.calls()[0];
    EXPECT_EQ(call.call.kernel, calls[0].call.kernel);
    EXPECT_EQ(call.call.shape.Text(), calls[0].call.shape.Text());
    EXPECT_EQ(call.call.flops, calls[0].call.flops);
    EXPECT_EQ(call.call.bytes, calls[0].call.bytes);
  }
}

TEST(Trace, ReplaysRunOnMemoryOfTheirOwn) {
  for (const Case& item : Cases()) {
    SCOPED_TRACE(item.name);
    Replay replay;
    {
      const DryScope dry;
      Memory nothing;
      Recorder recorder(/*with_replays=*/true);
      item.run(nothing);
      replay = recorder.calls()[0].replay;
    }
    if (!replay) continue;  // copies to and from the host
    const Relocate memory(replay);
    replay(memory);
  }
}

TEST(Trace, OperandsThatOverlapStayOne) {
  const TestTensor x = TestTensor::Random(kF32, {T, D}, "x"),
                   w = TestTensor::Random(kF32, {V, D}, "w");
  const TestTensor expected(kF32, {T, V});
  MatMul(x, w, expected, MatMulKind::kNT);
  TestTensor c(kF32, {T, V});
  Replay replay;
  {
    Recorder recorder(/*with_replays=*/true);
    MatMul(x, w, c, MatMulKind::kNT);
    replay = recorder.calls()[0].replay;
  }
  const Relocate at(replay);
  std::memcpy(at(x.tensor()).data, x.tensor().data, static_cast<size_t>(x.bytes()));
  std::memcpy(at(w.tensor()).data, w.tensor().data, static_cast<size_t>(w.bytes()));
  replay(at);
  EXPECT_EQ(
      std::memcmp(at(c.tensor()).data, expected.tensor().data, static_cast<size_t>(c.bytes())), 0);

  // In place: y is xhat.
  TestTensor y = x.Copy();
  const TestTensor scale = TestTensor::Random(kF32, {D}, "scale");
  {
    Recorder recorder(/*with_replays=*/true);
    RmsNormScale(y, scale, y);
    replay = recorder.calls()[0].replay;
  }
  const Relocate in_place(replay);
  std::memcpy(in_place(y.tensor()).data, x.tensor().data, static_cast<size_t>(x.bytes()));
  std::memcpy(in_place(scale.tensor()).data, scale.tensor().data,
              static_cast<size_t>(scale.bytes()));
  replay(in_place);
  EXPECT_EQ(std::memcmp(in_place(y.tensor()).data, y.tensor().data, static_cast<size_t>(y.bytes())),
            0);
}

TEST(Trace, ProductsBelongToThePartOfTheirScope) {
  const TestTensor x(kF32, {T, D}), c(kF32, {T, T});
  const std::string q = "model.layers.0.self_attn.q_proj", k = "model.layers.0.self_attn.k_proj";
  Recorder recorder;
  for (const std::string* module : {&q, &k, &q}) {
    const PartScope part("base products", *module, "y");
    MatMul(x, x, c, MatMulKind::kNT);
  }
  ASSERT_EQ(recorder.calls().size(), 1);
  const RecordedCall& call = recorder.calls()[0];
  EXPECT_EQ(call.call.part, std::string("base products"));
  EXPECT_EQ(call.what, std::string("y"));
  EXPECT_EQ(call.modules, (std::vector<std::string>{"q_proj", "k_proj"}));
  EXPECT_EQ(call.count, 3);
  EXPECT_EQ(call.call.flops, 2 * T * T * D);
  EXPECT_EQ(recorder.order(), (std::vector<uint32_t>{0, 0, 0}));
}

TEST(DryRouting, SpreadsRowsWithoutMemory) {
  const DryScope dry;
  Memory m;
  const Routing routing = MakeRouting(m);
  for (int64_t e = 0; e < E; ++e) EXPECT_EQ(routing.Count(e), 3);
  const DryRouting policy(DryRouting::kAllTogether);
  EXPECT_EQ(routing.Count(0), T);
  EXPECT_EQ(routing.Count(1), T);
  EXPECT_EQ(routing.Count(2), 0);
}

TEST(DryScope, ArenasAndBuffersHaveAddressesOnly) {
  const DryScope dry;
  Arena arena(64);
  const Tensor huge = arena.Take("huge", kF32, {int64_t{1} << 36});
  const Buffer buffer(kF32, {16}), other(kF32, {16});
  EXPECT_EQ(arena.HighMark(), size_t{1} << 38);
  EXPECT_NE(buffer.tensor().data, other.tensor().data);
  EXPECT_DEATH(huge.as<float>()[0] = 1, "");
  EXPECT_DEATH(buffer.tensor().as<float>()[3] = 1, "");
  volatile float read = 0;
  EXPECT_DEATH(read = other.tensor().as<float>()[0], "");
  static_cast<void>(read);
}

}  // namespace
}  // namespace lorikeet
