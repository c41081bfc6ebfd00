#include "kernels/copy.h"

#include <algorithm>
#include <cstring>

#include "kernels/rows.h"
#include "kernels/trace.h"

namespace lorikeet {
namespace {

std::byte* RowOf(const Tensor& x, int64_t row) {
  return static_cast<std::byte*>(x.data) + DTypeBytes(x.dtype, row * x.cols());
}

void CheckRows(const Tensor& some, std::span<const int64_t> rows, const Tensor& all) {
  CHECK(some.rank == 2 && all.rank == 2 && some.cols() == all.cols() && some.dtype == all.dtype);
  CHECK(some.rows() == static_cast<int64_t>(rows.size()));
  for (const int64_t row : rows) CHECK(0 <= row && row < all.rows());
}

size_t RowBytes(const Tensor& x) { return static_cast<size_t>(DTypeBytes(x.dtype, x.cols())); }

}  // namespace

void CopyRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) {
  const Kernel here([&] {
    return KernelCall{
        "CopyRows", "", {"{} x {} of {}", {to.rows(), to.cols(), from.rows()}}, 0, BytesOf(to, to)};
  });
  CheckRows(to, rows, from);
  if (here.dry()) return;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(RowOf(to, static_cast<int64_t>(i)), RowOf(from, rows[i]), RowBytes(to));
  }
}

void PutRows(const Tensor& from, std::span<const int64_t> rows, const Tensor& to) {
  const Kernel here([&] {
    return KernelCall{"PutRows",
                      "",
                      {"{} x {} of {}", {from.rows(), from.cols(), to.rows()}},
                      0,
                      BytesOf(from, from)};
  });
  CheckRows(from, rows, to);
  if (here.dry()) return;
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(RowOf(to, rows[i]), RowOf(from, static_cast<int64_t>(i)), RowBytes(to));
  }
}

void CopyToHost(const Tensor& from, std::span<float> to) {
  const Kernel here([&] {
    return KernelCall{"CopyToHost", "", {"{}", {from.size()}}, 0, BytesOf(from, from)};
  });
  CHECK(from.size() == static_cast<int64_t>(to.size()));
  if (here.dry()) {
    std::fill(to.begin(), to.end(), 0.0F);
    return;
  }
  std::memcpy(to.data(), from.as<float>(), to.size_bytes());
}

void CopyFromHost(std::span<const float> from, const Tensor& to) {
  const Kernel here([&] {
    return KernelCall{"CopyFromHost", "", {"{}", {to.size()}}, 0, BytesOf(to, to)};
  });
  CHECK(to.size() == static_cast<int64_t>(from.size()));
  if (here.dry()) return;
  std::memcpy(to.as<float>(), from.data(), from.size_bytes());
}

}  // namespace lorikeet
