// Blocks of GGUF's formats with tables (IQ..., MXFP4) and of ternary weights (TQ...) to f32. Each
// function reads one block at p and writes its 32 or 256 weights to y, with the bits of the `gguf`
// package.
#pragma once
#include <cstdint>

namespace lorikeet {

void DequantiseIQ2_XXS(const uint8_t* p, float* y);
void DequantiseIQ2_XS(const uint8_t* p, float* y);
void DequantiseIQ2_S(const uint8_t* p, float* y);
void DequantiseIQ3_XXS(const uint8_t* p, float* y);
void DequantiseIQ3_S(const uint8_t* p, float* y);
void DequantiseIQ1_S(const uint8_t* p, float* y);
void DequantiseIQ1_M(const uint8_t* p, float* y);
void DequantiseIQ4_NL(const uint8_t* p, float* y);
void DequantiseIQ4_XS(const uint8_t* p, float* y);
void DequantiseMXFP4(const uint8_t* p, float* y);
void DequantiseTQ1_0(const uint8_t* p, float* y);
void DequantiseTQ2_0(const uint8_t* p, float* y);

}  // namespace lorikeet
