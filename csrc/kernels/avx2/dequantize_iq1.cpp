// iq1_s and iq1_m to float32.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/stores.h"
#include "kernels/grids/iq1.h"
#include "kernels/iq1_blocks.h"

namespace ggmlkit::avx2 {
namespace {

// Up and down; indexed, as what is random had better not be branched on.
constexpr float kMoves[2] = {kIq1Moved, -kIq1Moved};

template <class B, class Store>
void dequantize_blocks(const std::byte* src, float* dst, std::size_t n) {
  const __m256i bits = _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14);
  // What two bits stand for: a shuffle looks at a lane's lowest two alone.
  const __m256 values = _mm256_setr_ps(-1, 0, 1, 0, -1, 0, 1, 0);
  for (std::size_t i = 0; i < n / B::size; ++i) {
    block_at<B>(src, i).for_points([&](int point, float scale, bool is_down) {
      const __m256i elements = _mm256_srlv_epi32(_mm256_set1_epi32(kIq1Points[point]), bits);
      const __m256 moved = _mm256_add_ps(_mm256_permutevar_ps(values, elements),
                                         _mm256_broadcast_ss(&kMoves[is_down]));
      Store::store(dst, _mm256_mul_ps(_mm256_set1_ps(scale), moved));
      dst += 8;
    });
  }
}

template <class B>
void set(KernelTable& table, Type type) {
  table.types[static_cast<std::size_t>(type)].dequantize =
      by_size<dequantize_blocks<B, Cached>, dequantize_blocks<B, Streamed>>;
}

}  // namespace

void fill_dequantize_iq1(KernelTable& table) {
  set<Iq1S>(table, Type::iq1_s);
  set<Iq1M>(table, Type::iq1_m);
}

}  // namespace ggmlkit::avx2
