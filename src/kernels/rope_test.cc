#include "kernels/rope.h"

#include <array>

#include "core/error.h"
#include "kernels/kernel_for_test.h"

namespace lorikeet {
namespace {

// Every literal below was printed by transformers 5 (LlamaRotaryEmbedding, f32).
void ExpectInvFreq(const RopeTable& table, const std::vector<float>& expected) {
  ASSERT_EQ(table.inv_freq().size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    // Two units in the last place: pow and the divisions may each round the other way.
    EXPECT_NEAR(table.inv_freq()[i], expected[i], 0x1p-22 * expected[i]) << i;
  }
}

void ExpectRow(const RopeTable& table, int32_t position, const std::vector<float>& cos,
               const std::vector<float>& sin) {
  const auto R = static_cast<int64_t>(cos.size());
  const TestTensor c(DType::kF32, {1, R}), s(DType::kF32, {1, R});
  table.FillCosSin(std::array{position}, c, s);
  for (int64_t i = 0; i < R; ++i) {
    // An angle of n radians is known to within its own rounding.
    const double tolerance = 2e-7 + 0x1p-22 * position * table.inv_freq()[i];
    EXPECT_NEAR(c.Get(i), cos[i], tolerance) << i;
    EXPECT_NEAR(s.Get(i), sin[i], tolerance) << i;
  }
}

TEST(Rope, Default) {
  const RopeTable table(16, 10000.0, {});
  ExpectInvFreq(table, {1.0F, 0.316227764F, 0.100000001F, 0.0316227786F, 0.00999999978F,
                        0.00316227786F, 0.00100000005F, 0.000316227786F});
  ExpectRow(table, 77,
            {-0.0309750326F, 0.708656371F, 0.153373584F, -0.760548592F, 0.717910707F, 0.970501184F,
             0.997036934F, 0.999703586F},
            {0.999520183F, -0.70555383F, 0.988168299F, 0.649281025F, 0.696135223F, 0.241096377F,
             0.0769239441F, 0.0243471339F});
  ExpectRow(table, 8191,
            {-0.646390498F, 0.0214615501F, -0.655730963F, 0.158535913F, 0.973987579F, 0.718274891F,
             -0.330674648F, -0.851807237F},
            {-0.763006806F, 0.999769688F, 0.754994631F, 0.987353206F, 0.226601541F, 0.695759416F,
             0.943744838F, 0.523855329F});
}

TEST(Rope, Linear) {
  RopeScaling scaling;
  scaling.type = "linear";
  scaling.factor = 4.0;
  const RopeTable table(16, 10000.0, scaling);
  ExpectInvFreq(table, {0.25F, 0.079056941F, 0.0250000004F, 0.00790569466F, 0.00249999994F,
                        0.000790569466F, 0.000250000012F, 7.90569466e-05F});
  ExpectRow(table, 8191,
            {0.842757821F, 0.925919652F, -0.841097772F, -0.34561789F, -0.0571156591F, 0.981554031F,
             -0.459074974F, 0.797560811F},
            {-0.538292885F, 0.377720594F, -0.540883064F, 0.938375354F, 0.998367548F, 0.191184893F,
             0.888397515F, 0.603238523F});
}

TEST(Rope, Llama3) {
  RopeScaling scaling;
  scaling.type = "llama3";
  scaling.factor = 8.0;
  scaling.low_freq_factor = 1.0;
  scaling.high_freq_factor = 4.0;
  scaling.original_max_position_embeddings = 8192;
  const RopeTable table(32, 500000.0, scaling);
  ExpectInvFreq(
      table, {1.0F, 0.440366626F, 0.193922758F, 0.0853971019F, 0.0376060307F, 0.0165604409F,
              0.00729266508F, 0.00321144611F, 0.000524846022F, 7.78465546e-05F, 3.42810235e-05F,
              1.50962178e-05F, 6.64786967e-06F, 2.92749974e-06F, 1.28917316e-06F, 5.6770881e-07F});
  ExpectRow(table, 77,
            {-0.0309750326F, -0.796513677F, -0.713783562F, 0.957557321F, -0.969911754F,
             0.291354388F, 0.846438587F, 0.969581425F, 0.999183476F, 0.999982059F, 0.999996543F,
             0.999999344F, 0.999999881F, 1.0F, 1.0F, 1.0F},
            {0.999520183F, 0.604620516F, 0.700366378F, 0.288243026F, 0.243456706F, 0.95661521F,
             0.53248632F, 0.244768903F, 0.0404021442F, 0.00599414902F, 0.0026396357F, 0.0011624085F,
             0.00051188597F, 0.000225417476F, 9.92663336e-05F, 4.37135786e-05F});
}

TEST(Rope, Yarn) {
  RopeScaling scaling;
  scaling.type = "yarn";
  scaling.factor = 4.0;
  scaling.original_max_position_embeddings = 32768;
  const RopeTable table(16, 1000000.0, scaling);
  EXPECT_FLOAT_EQ(table.attention_factor(), 0x1.237d37fe5d298p+0);
  ExpectInvFreq(table, {1.0F, 0.177827939F, 0.0316227786F, 0.00421755994F, 0.000500000024F,
                        4.44569851e-05F, 7.90569356e-06F, 1.40585337e-06F});
  ExpectRow(table, 77,
            {-0.0352690853F, 0.489531726F, -0.865983009F, 1.07911313F, 1.13778567F, 1.13862276F,
             1.1386292F, 1.13862944F},
            {1.1380831F, 1.02802515F, 0.739290476F, 0.36330691F, 0.0438264087F, 0.00389773468F,
             0.000693127397F, 0.000123257443F});
  scaling.mscale = 0.707;
  scaling.mscale_all_dim = 1.4;
  EXPECT_FLOAT_EQ(RopeTable(16, 1e6, scaling).attention_factor(), 0.919544669F);
  scaling.attention_factor = 0.5;
  EXPECT_EQ(RopeTable(16, 1e6, scaling).attention_factor(), 0.5F);
}

TEST(Rope, Longrope) {
  RopeScaling scaling;
  scaling.type = "longrope";
  scaling.factor = 32;
  scaling.original_max_position_embeddings = 4096;
  scaling.short_factor = {1.0, 1.5, 2.0, 4.0};
  const RopeTable table(8, 10000.0, scaling);
  EXPECT_EQ(table.end(), 4096);
  ExpectInvFreq(table, {1.0F, 0.0666666701F, 0.00499999989F, 0.00025F});
  EXPECT_FLOAT_EQ(table.attention_factor(), 1.19023807F);  // (1 + ln 32 / ln 4096)^(1/2)
  scaling.attention_factor = 0.5;
  EXPECT_EQ(RopeTable(8, 1e4, scaling).attention_factor(), 0.5F);
  scaling.attention_factor.reset();
  scaling.factor = 1;
  EXPECT_EQ(RopeTable(8, 1e4, scaling).attention_factor(), 1.0F);
  EXPECT_EQ(RopeTable(8, 1e4, {}).end(), 0);
}

TEST(Rope, ValuesThatNoModelMeansAreErrors) {
  const auto expect_error = [](int64_t dim, double theta, const RopeScaling& scaling) {
    EXPECT_THROW(RopeTable(dim, theta, scaling), Error);
  };
  expect_error(0, 1e4, {});
  expect_error(-2, 1e4, {});
  expect_error(15, 1e4, {});
  expect_error(int64_t{1} << 40, 1e4, {});
  expect_error(16, 0.0, {});
  expect_error(16, NAN, {});
  RopeScaling scaling;
  scaling.type = "dynamic";
  expect_error(16, 1e4, scaling);
  for (const char* type : {"linear", "llama3", "yarn"}) {
    scaling = {};
    scaling.type = type;
    scaling.original_max_position_embeddings = 1024;
    EXPECT_NO_THROW(RopeTable(16, 1e4, scaling));
    scaling.factor = 0.0;
    expect_error(16, 1e4, scaling);
    scaling.factor = 1.0;
    scaling.original_max_position_embeddings = 0;
    if (scaling.type != "linear") expect_error(16, 1e4, scaling);
  }
  scaling = {};
  scaling.type = "llama3";
  scaling.original_max_position_embeddings = 8192;
  scaling.low_freq_factor = scaling.high_freq_factor;
  expect_error(16, 1e4, scaling);
  scaling = {};
  scaling.type = "longrope";
  scaling.original_max_position_embeddings = 4096;
  scaling.short_factor.assign(7, 1.0);
  expect_error(16, 1e4, scaling);
  scaling.short_factor.assign(8, 1.0);
  EXPECT_NO_THROW(RopeTable(16, 1e4, scaling));
  scaling.short_factor[3] = 0;
  expect_error(16, 1e4, scaling);
}

TEST(Rope, ARowDependsOnItsPositionOnly) {
  const RopeTable table(64, 1e4, {});
  std::vector<int32_t> positions(100);
  for (size_t t = 0; t < positions.size(); ++t) positions[t] = static_cast<int32_t>(t * 37 % 61);
  ExpectSameBitsOnAnyThreads([&] {
    const TestTensor cos(DType::kF32, {100, 32}), sin(DType::kF32, {100, 32});
    table.FillCosSin(positions, cos, sin);
    const TestTensor c(DType::kF32, {1, 32}), s(DType::kF32, {1, 32});
    table.FillCosSin(std::array{positions[57]}, c, s);
    EXPECT_EQ(c.Values(), cos.RowValues(57));
    EXPECT_EQ(s.Values(), sin.RowValues(57));
    return cos;
  });
}

}  // namespace
}  // namespace lorikeet
