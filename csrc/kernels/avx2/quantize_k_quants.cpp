// Float32 to q2_K … q6_K.
#include "kernels/avx2/avx2.h"
#include "kernels/avx2/eight_lanes.h"
#include "kernels/k_quantize.h"
#include "kernels/lane_pair.h"

namespace ggmlkit::avx2 {
namespace {

template <class B>
void set(KernelTable& table, Type type) {
  using F = LanePair<EightLanes>;
  table.types[static_cast<std::size_t>(type)].quantize = quantize_k<F, B>;
}

}  // namespace

void fill_quantize_k_quants(KernelTable& table) {
  set<Q2K>(table, Type::q2_K);
  set<Q3K>(table, Type::q3_K);
  set<Q4K>(table, Type::q4_K);
  set<Q5K>(table, Type::q5_K);
  set<Q6K>(table, Type::q6_K);
}

}  // namespace ggmlkit::avx2
