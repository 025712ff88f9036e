// The parts of the NEON table: each file fills the slots it provides. Compiled for baseline
// AArch64, whose NEON has fused multiply-add and float16 conversion. The sets beyond it start from
// this table and replace its products.
#pragma once

#include "kernels/kernel_table.h"

namespace ggmlkit::neon {

void fill_dequantize(KernelTable& table);
void fill_quantize(KernelTable& table);
void fill_group_quantizers(KernelTable& table);
void fill_weighted_quantizers(KernelTable& table);
void fill_calibration(KernelTable& table);
void fill_activations(KernelTable& table);
void fill_pack(KernelTable& table);
void fill_matmul(KernelTable& table);
void fill_float_matmul(KernelTable& table);
void fill_attention(KernelTable& table);
void fill_elementwise(KernelTable& table);

}  // namespace ggmlkit::neon
