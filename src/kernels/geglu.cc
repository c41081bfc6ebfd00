#include "kernels/geglu.h"

#include "kernels/rows.h"
#include "kernels/trace.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/geglu.cc"
#include <hwy/foreach_target.h>
// foreach_target.h first
#include "kernels/gelu-inl.h"

HWY_BEFORE_NAMESPACE();
namespace lorikeet::HWY_NAMESPACE {
namespace {

void Forward(const Columns& gate, const Columns& up, const Tensor& h, int64_t begin, int64_t end) {
  GatedForward<Gelu>(gate, up, h, begin, end);
}
void Backward(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
              const Columns& dup, const Tensor& h, int64_t begin, int64_t end) {
  GatedBackward<Gelu>(dh, gate, up, dgate, dup, h, begin, end);
}

}  // namespace
}  // namespace lorikeet::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lorikeet {
namespace {
HWY_EXPORT(Forward);
HWY_EXPORT(Backward);
}  // namespace

void GegluForward(const Columns& gate, const Columns& up, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"GegluForward",
                          "geglu",
                          {"{} x {}", {h.rows(), h.cols()}},
                          8 * h.size(),
                          BytesOf(gate, up, h)};
      },
      [&] { return Replay([=](const Relocate& at) { GegluForward(at(gate), at(up), at(h)); }); });
  CHECK(SameShape(gate, up) && SameShape(gate, h) && IsCompute(h));
  CHECK(gate.dtype() == h.dtype && up.dtype() == h.dtype);
  if (here.dry()) return;
  ParallelRanges(h.rows(), RowGrain(h.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Forward)(gate, up, h, begin, end);
  });
}

void GegluBackward(const Tensor& dh, const Columns& gate, const Columns& up, const Columns& dgate,
                   const Columns& dup, const Tensor& h) {
  const Kernel here(
      [&] {
        return KernelCall{"GegluBackward",
                          "geglu",
                          {"{} x {}", {dh.rows(), dh.cols()}},
                          16 * dh.size(),
                          BytesOf(dh, gate, up, dgate, dup, h)};
      },
      [&] {
        return Replay([=](const Relocate& at) {
          GegluBackward(at(dh), at(gate), at(up), at(dgate), at(dup), at(h));
        });
      });
  CHECK(SameShape(dh, gate) && SameShape(dh, up) && SameShape(dh, dgate));
  CHECK(SameShape(dh, dup) && (!h || SameShape(dh, h)) && IsCompute(gate.matrix));
  if (here.dry()) return;
  ParallelRanges(dh.rows(), RowGrain(dh.cols()), [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(Backward)(dh, gate, up, dgate, dup, h, begin, end);
  });
}

}  // namespace lorikeet
#endif  // HWY_ONCE
