// The parts of the AVX2 table: each file fills the slots it provides. Compiled with
// AVX2 + FMA + F16C; reached only through the table.
#pragma once

#include "kernels/kernel_table.h"

namespace ggmlkit::avx2 {

void fill_dequantize(KernelTable& table);
void fill_dequantize_k_quants(KernelTable& table);
void fill_dequantize_codebooks(KernelTable& table);
void fill_dequantize_ternary(KernelTable& table);
void fill_dequantize_i_quants(KernelTable& table);
void fill_lattice_quantizers(KernelTable& table);
void fill_quantize(KernelTable& table);
void fill_group_quantizers(KernelTable& table);
void fill_weighted_quantizers(KernelTable& table);
void fill_calibration(KernelTable& table);
void fill_pack(KernelTable& table);
void fill_activations(KernelTable& table);
void fill_matmul(KernelTable& table);
void fill_stored_products(KernelTable& table);
void fill_float_matmul(KernelTable& table);
void fill_attention(KernelTable& table);
void fill_kv_store(KernelTable& table);
void fill_elementwise(KernelTable& table);

}  // namespace ggmlkit::avx2
