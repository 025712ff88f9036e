// What an instruction set provides. `scalar` is the specification; every other set fills the same
// struct, and may leave a slot as scalar filled it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/types.h"

namespace ggmlkit {

constexpr std::size_t kBlock = 32;  // elements that share a scale, weights and activations alike

// What a packed tile holds; see kernels/layouts/packed_tiles.h for the layout. Kinds named after a
// type hold its codes and scales as they are in the file.
enum class PackedKind : std::uint8_t {
  nibble,
  nibble_min,
  five,
  five_min,
  byte,
  q2_K,
  q3_K,
  q4_K,
  q5_K,
  q6_K,
  iq4_nl,
  iq4_xs,
  mxfp4,
  q2_0,
  count
};
constexpr std::size_t kPackedKinds = static_cast<std::size_t>(PackedKind::count);

// Activations quantized to int8 per 32 elements: value = scale · q. A block may be quantized in
// two parts, the second what the first left off; both are multiplied with the same weights.
//
// Tokens lie in panels, so that a kernel finds what it broadcasts behind one pointer: as many
// panels of the table's width as fit, then panels of 8, 4, 2 and 1 for the tokens left
// (panel_width). The panel whose first token is t starts at 32·t·room in `q`, at t in `counts`, and
// at t·room in the others. With width w its quantized block i, a part of block `blocks`[i] of each
// of its tokens, is
//   q          [8 quads][w tokens][4 elements] int8, 32·w·i further
//   scale, …   [w tokens], w·i further
//
// Panels of kMatrixPanel are of bfloat16, as their kernels multiply matrices: block i of the row is
//   q          [w tokens][32 elements] bfloat16, 64·w·i further
// and the other fields are unused.
struct ActivationView {
  const std::int8_t* q;
  const float* scale;
  const std::int32_t* sum;  // of q over the block
  // -8 times the same sum in two int16 halves: of the elements 4k and 4k + 1 (low), and of 4k + 2
  // and 4k + 3 (high). Where a 16-bit lane of a tile's dot product starts that takes 8 off weights.
  const std::int32_t* start;
  const std::int32_t* first;    // what start would be of the block's first 16 elements alone
  const std::uint32_t* blocks;  // rising; each block once or, in two parts, twice
  const std::uint32_t* counts;  // of a panel's quantized blocks
  std::size_t cols;
  std::size_t room;  // quantized blocks that there is room for, a token; one of bfloat16 takes two
  std::size_t widest;  // of the panels
};

constexpr std::size_t kPanel = 8;
constexpr std::size_t kMatrixPanel = 16;
// Quantized blocks from which on multiply_stored is worth its overhead.
constexpr std::size_t kLeastStored = 32;

// Width of the panel that begins with so many tokens left, where the widest is `widest`.
constexpr std::size_t panel_width(std::size_t left, std::size_t widest = kPanel) {
  if (left >= widest) return widest;
  return left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
}

// Bytes of `q` from a token of a panel to the next, and from an int8 token's quad to its next.
constexpr std::size_t token_step(std::size_t width) {
  return width == kMatrixPanel ? 2 * kBlock : 4;
}
constexpr std::size_t quad_step(std::size_t width) { return 4 * width; }

// Where one token's quantized elements go: its first block, in a panel of `width`.
struct ActivationSlot {
  std::int8_t* q;
  float* scale;
  std::int32_t* sum;
  std::int32_t* start;
  std::int32_t* first;
  std::size_t width;
};

// How one matrix is rounded with knowledge of what enters it. Columns are in the order of work: the
// p-th is column order[p]; blocks and their groups stay whole. H is the Hessian of the columns,
// Σ x x' over the tokens, = U D U' with U unit upper triangular.
struct Calibration {
  std::size_t cols;
  const std::uint32_t* order;
  const float* diagonal;  // [cols] of D
  // U in panels of a group's columns: panel g has the rows down to the group's last column. Null:
  // errors of columns are taken to be independent.
  const float* upper;
  const float* hessian;  // H in the same panels, with all rows; for the passes alone
  int passes;            // of descent, over all columns
};

struct TypeKernels {
  void (*dequantize)(const std::byte* src, float* dst, std::size_t n);
  // Returns n, or the first index of some blocks of which one holds a value that is not finite; all
  // before it are.
  std::size_t (*quantize)(const float* src, std::byte* dst, std::size_t n);
  // `rows` ≤ tile_rows rows of whole blocks, `row_bytes` apart, to one tile; missing rows are
  // zeros. Null for types that have no packed form.
  void (*pack)(const std::byte* src, std::size_t row_bytes, std::size_t rows, std::size_t cols,
               std::byte* tile);
  // y[r] = Σ w[r][c] · x[c] for rows in file layout and a panel of one token, of kLeastStored
  // quantized blocks or more: the bits that a packed product gives. Null where packing is no
  // slower, or it is not written.
  void (*multiply_stored)(const std::byte* src, std::size_t row_bytes, std::size_t rows,
                          const ActivationView& x, float* y) = nullptr;
  // quantize() of one row of n elements, with how much each column's error counts. Null for types
  // whose quantizer has no use for it.
  std::size_t (*quantize_weighted)(const float* src, const float* importance, std::byte* dst,
                                   std::size_t n) = nullptr;
  // Rounds at most calibrated_rows rows of finite floats to rows of blocks, `row_bytes` apart.
  // `scratch` has room for 3 · cols · calibrated_rows floats. Null for types that have no such
  // rounding.
  void (*calibrate)(const Calibration& calibration, const float* weights, std::size_t rows,
                    std::byte* dst, std::size_t row_bytes, float* scratch) = nullptr;
};

// y[t·ldy + r] = Σ w[r][c] · x[t][c] for `rows` rows in tiles that follow each other, the last of
// which may be partly filled, and `tokens` tokens in panels.
using MatmulKernel = void (*)(const std::byte* tiles, std::size_t rows, const ActivationView& x,
                              std::size_t tokens, float* y, std::size_t ldy);

// y[t·ldy + r] = Σ w[r·cols + c] · x[t·cols + c] for float weights of one type.
using FloatKernel = void (*)(const std::byte* w, std::size_t rows, std::size_t cols, const float* x,
                             std::size_t tokens, float* y, std::size_t ldy);

// How keys and values are cached.
enum class KvType : std::uint8_t { f16, q8_0, q4_0, count };
constexpr std::size_t kKvTypes = static_cast<std::size_t>(KvType::count);
constexpr std::size_t kKvGroup = 16;  // positions that lie together; see kernels/layouts/kv_group.h

// Attention of one head over cached positions in one of these types. Rows are dense, of `d`
// elements; `ld` floats lie between rows of scores or weights.
struct KvKernels {
  // One position's key or value to its place in a group.
  void (*store_key)(const float* k, std::size_t d, std::size_t place, std::byte* group);
  void (*store_value)(const float* v, std::size_t d, std::size_t place, std::byte* group);
  // scores[i·ld + p] = Σ_j q[i·d + j] · k(p, j) for all positions of whole groups.
  void (*scores)(const float* q, std::size_t rows, std::size_t d, const std::byte* keys,
                 std::size_t groups, float* scores, std::size_t ld);
  // out[i·d + j] += Σ_p weights[i·ld + p] · v(p, j) for the first `positions` of the groups.
  void (*add_values)(const float* weights, std::size_t ld, std::size_t rows, std::size_t d,
                     const std::byte* values, std::size_t positions, float* out);
};

struct KernelTable {
  const char* name;
  std::size_t tile_rows;       // rows interleaved in a tile: 8 or 16
  std::size_t calibrated_rows = 1;  // that TypeKernels::calibrate takes
  std::size_t panel = kPanel;       // tokens of the widest panels: kPanel or kMatrixPanel
  TypeKernels types[kTypeCount];
  // Consecutive blocks of one token, to int8 or, in panels of kMatrixPanel, to bfloat16.
  void (*quantize_activations)(const float* x, std::size_t blocks, const ActivationSlot& out);
  MatmulKernel matmul[kPackedKinds];
  FloatKernel matmul_f32;
  FloatKernel matmul_f16;
  FloatKernel matmul_bf16;
  KvKernels kv[kKvTypes];
  // Element-wise steps of the decoder.
  float (*largest)(const float* x, std::size_t n);  // n > 0
  // x = e^(x - highest), for x ≤ highest; returns their sum.
  float (*exp_and_sum)(float* x, std::size_t n, float highest);
  void (*scale)(float a, const float* x, float* y, std::size_t n);       // y = a·x
  void (*add_scaled)(float a, const float* x, float* y, std::size_t n);  // y += a·x
  void (*rms_norm)(const float* x, const float* weight, float eps, float* out, std::size_t n);
  // Turns neighbouring pairs in place; `turns` holds a cosine and a sine for each.
  void (*rotate)(float* x, const float* turns, std::size_t pairs);
  // Turns elements i and i + pairs in place; `turns` holds all cosines, then all sines.
  void (*rotate_halves)(float* x, const float* turns, std::size_t pairs);
  void (*silu_mul)(const float* gate, const float* up, float* out, std::size_t n);
  // The same with GELU, approximated by a hyperbolic tangent.
  void (*gelu_mul)(const float* gate, const float* up, float* out, std::size_t n);
  void (*soft_cap)(float cap, float* x, std::size_t n);  // x = cap · tanh(x / cap), for cap > 0
};

const KernelTable& scalar_table();
#if defined(GGMLKIT_AVX2)
const KernelTable& avx2_table();
#endif
#if defined(GGMLKIT_AVXVNNI)
const KernelTable& avxvnni_table();
#endif
#if defined(GGMLKIT_AVX512)
const KernelTable& avx512_table();
#endif
#if defined(GGMLKIT_AVX512VNNI)
const KernelTable& avx512vnni_table();
#endif
#if defined(GGMLKIT_AMX)
const KernelTable& amx_table();
#endif
#if defined(GGMLKIT_NEON)
const KernelTable& neon_table();
const KernelTable& neon_dotprod_table();
const KernelTable& neon_i8mm_table();
#endif

// The best table that this processor runs, or the one GGMLKIT_ISA names. Throws
// std::runtime_error for a name that is unknown or that the processor lacks.
const KernelTable& active();
// By name, for tests; throws as active() does.
const KernelTable& table_named(const char* name);

}  // namespace ggmlkit
