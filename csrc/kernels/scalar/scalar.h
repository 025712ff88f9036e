// The parts of the scalar table: each file fills the slots it provides.
#pragma once

#include "kernels/kernel_table.h"

namespace ggmlkit {

void fill_scalar_k_quants(KernelTable& table);
void fill_scalar_codebooks(KernelTable& table);
void fill_scalar_i_quants(KernelTable& table);
void fill_scalar_lattice_quantizers(KernelTable& table);
void fill_scalar_ternary(KernelTable& table);
void fill_scalar_plain(KernelTable& table);
void fill_scalar_group_quantizers(KernelTable& table);
void fill_scalar_weighted_quantizers(KernelTable& table);
void fill_scalar_calibration(KernelTable& table);
void fill_scalar_decoder_steps(KernelTable& table);
void fill_scalar_attention(KernelTable& table);
void fill_scalar_products(KernelTable& table);

}  // namespace ggmlkit
