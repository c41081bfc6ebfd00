// The ops of this folder as formulas, one row at a time, for tests. T is double, or
// std::complex<double>: f(x + i h) = f(x) + i h f'(x) + O(h^2) gives derivatives to the last bit
// (the complex step), so the gradients of the fast kernels are compared with these formulas too.
#pragma once
#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <numbers>
#include <vector>

namespace lorikeet::reference {

template <class T>
using Row = std::vector<T>;

// The real part, which decides branches.
inline double Real(double x) { return x; }
inline double Real(const std::complex<double>& x) { return x.real(); }

template <class T>
Row<T> RmsNorm(const Row<T>& x, const Row<T>& w, double eps) {
  T squares = 0;
  for (const T& v : x) squares += v * v;
  const T rstd = 1.0 / std::sqrt(squares / static_cast<double>(x.size()) + eps);
  Row<T> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = w[i] * (x[i] * rstd);
  return y;
}

template <class T>
Row<T> LayerNorm(const Row<T>& x, const Row<T>& w, const Row<T>& b, double eps) {
  const auto size = static_cast<double>(x.size());
  T mean = 0, squares = 0;
  for (const T& v : x) mean += v / size;
  for (const T& v : x) squares += (v - mean) * (v - mean);
  const T rstd = 1.0 / std::sqrt(squares / size + eps);
  Row<T> y(x.size());
  for (size_t i = 0; i < x.size(); ++i) y[i] = w[i] * ((x[i] - mean) * rstd) + b[i];
  return y;
}

// Pairs (i, i + R) of a head, R = cos.size().
template <class T>
Row<T> Rotate(const Row<T>& x, const Row<double>& cos, const Row<double>& sin) {
  Row<T> y = x;
  const size_t R = cos.size();
  for (size_t i = 0; i < R; ++i) {
    y[i] = x[i] * cos[i] - x[i + R] * sin[i];
    y[i + R] = x[i + R] * cos[i] + x[i] * sin[i];
  }
  return y;
}

template <class T>
T Silu(const T& x) {
  if (Real(x) < 0) {  // e^-x would overflow
    const T e = std::exp(x);
    return x * e / (1.0 + e);
  }
  return x / (1.0 + std::exp(-x));
}

template <class T>
T SquaredRelu(const T& x) {
  return Real(x) < 0 ? T(0) : x * x;
}

// The tanh form: x/2 (1 + tanh(u)) = x / (1 + e^-2u).
template <class T>
T GeluTanh(const T& x) {
  const T twice_u = 2 * std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  if (Real(twice_u) < 0) {  // e^-2u would overflow
    const T e = std::exp(twice_u);
    return x * e / (1.0 + e);
  }
  return x / (1.0 + std::exp(-twice_u));
}

template <class T>
T SoftCap(const T& x, double cap) {
  return cap * std::tanh(x / cap);
}

template <class T>
T LogSumExp(const Row<T>& x) {
  double max = Real(x[0]);
  for (const T& v : x) max = std::max(max, Real(v));
  T sum = 0;
  for (const T& v : x) sum += std::exp(v - max);
  return max + std::log(sum);
}

template <class T>
T Entropy(const Row<T>& x) {
  const T lse = LogSumExp(x);
  T sum = 0;
  for (const T& v : x) sum += std::exp(v - lse) * (v - lse);
  return -sum;
}

// df/dx of a real function of a row.
template <class Fn>
Row<double> ComplexStep(const Row<double>& x, const Fn& f) {
  constexpr double kStep = 1e-30;
  Row<std::complex<double>> z(x.begin(), x.end());
  Row<double> gradient(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    z[i] = {x[i], kStep};
    gradient[i] = std::complex<double>(f(z)).imag() / kStep;
    z[i] = x[i];
  }
  return gradient;
}

}  // namespace lorikeet::reference
