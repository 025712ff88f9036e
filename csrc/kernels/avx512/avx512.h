// The parts of the AVX-512 table: each file fills the slots it provides. Compiled with AVX-512 F,
// BW, VL and DQ; reached only through the table.
#pragma once

#include "kernels/kernel_table.h"

namespace ggmlkit::avx512 {

void fill_group_quantizers(KernelTable& table);
void fill_weighted_quantizers(KernelTable& table);
void fill_calibration(KernelTable& table);
void fill_pack(KernelTable& table);
void fill_matmul(KernelTable& table);
void fill_float_matmul(KernelTable& table);
void fill_elementwise(KernelTable& table);
void fill_attention(KernelTable& table);

}  // namespace ggmlkit::avx512
