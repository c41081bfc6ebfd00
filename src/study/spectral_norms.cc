#include "study/spectral_norms.h"

#include <cmath>
#include <vector>

#include "core/parallel.h"

namespace lorikeet {
namespace {

using Square = std::vector<double>;  // (R, R)

// M M^T of a matrix M (R, n).
Square Gram(const Tensor& m) {
  const int64_t R = m.rows(), n = m.cols();
  Square gram(static_cast<size_t>(R * R));
  for (int64_t i = 0; i < R; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const float* x = m.as<float>() + i * n;
      const float* y = m.as<float>() + j * n;
      double sum = 0;
      for (int64_t k = 0; k < n; ++k) sum += static_cast<double>(x[k]) * y[k];
      gram[static_cast<size_t>(i * R + j)] = gram[static_cast<size_t>(j * R + i)] = sum;
    }
  }
  return gram;
}

// m v
std::vector<double> Times(const Square& m, const std::vector<double>& v) {
  const size_t R = v.size();
  std::vector<double> result(R);
  for (size_t i = 0; i < R; ++i) {
    for (size_t j = 0; j < R; ++j) result[i] += m[i * R + j] * v[j];
  }
  return result;
}

// The largest eigenvalue of first . second, both positive semidefinite (of first alone if second is
// empty); the eigenvalues of such a product are real and not negative.
double LargestEigenvalue(const Square& first, const Square& second, size_t R) {
  constexpr int kIterations = 60;
  std::vector<double> v(R);
  for (size_t i = 0; i < R; ++i) v[i] = 1 + 0.37 * std::cos(static_cast<double>(i));
  double value = 0;
  for (int i = 0; i < kIterations; ++i) {
    std::vector<double> next = Times(first, second.empty() ? v : Times(second, v));
    double norm = 0, before = 0;
    for (size_t j = 0; j < R; ++j) {
      norm += next[j] * next[j];
      before += v[j] * v[j];
    }
    if (norm == 0) return 0;
    value = std::sqrt(norm / before);
    for (double& x : next) x /= std::sqrt(norm);
    v = std::move(next);
  }
  return value;
}

}  // namespace

SpectralNorms NormsOf(const Tensor& a, const Tensor& bt, double scale) {
  const auto R = static_cast<size_t>(a.rows());
  const Square of_a = Gram(a), of_b = Gram(bt);
  // |B A|^2 is the largest eigenvalue of A^T B^T B A, which is that of (B^T B)(A A^T).
  return {std::sqrt(LargestEigenvalue(of_a, {}, R)), std::sqrt(LargestEigenvalue(of_b, {}, R)),
          std::abs(scale) * std::sqrt(LargestEigenvalue(of_b, of_a, R))};
}

Metrics AdapterNorms(const LoraAdapter& adapter) {
  const std::vector<LoraPair>& pairs = adapter.pairs();
  std::vector<SpectralNorms> norms(pairs.size());
  ParallelDynamic(static_cast<int64_t>(pairs.size()), [&](int64_t i) {
    const LoraPair& pair = pairs[static_cast<size_t>(i)];
    norms[static_cast<size_t>(i)] = NormsOf(pair.a, pair.bt, static_cast<double>(pair.scale));
  });
  SpectralNorms mean;
  for (const SpectralNorms& of_pair : norms) {
    const auto count = static_cast<double>(norms.size());
    mean.a += of_pair.a / count;
    mean.b += of_pair.b / count;
    mean.update += of_pair.update / count;
  }
  return {{"norm_a", mean.a}, {"norm_b", mean.b}, {"norm_update", mean.update}};
}

}  // namespace lorikeet
