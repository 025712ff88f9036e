#include "kernels/layouts/packed_tiles.h"

#include <utility>

namespace ggmlkit {

PackedKind packed_kind_of(Type type) {
  switch (type) {
    case Type::q4_0:
    case Type::q4_0_v1:
    case Type::q4_0_v2:
      return PackedKind::nibble;
    case Type::q4_1:
    case Type::q4_1_v1:
    case Type::q4_1_v2:
      return PackedKind::nibble_min;
    case Type::q5_0:
    case Type::q5_0_v1:
      return PackedKind::five;
    case Type::q5_1:
    case Type::q5_1_v1:
      return PackedKind::five_min;
    case Type::q8_0:
    case Type::q8_0_v2:
      return PackedKind::byte;
    case Type::q2_K:
      return PackedKind::q2_K;
    case Type::q3_K:
      return PackedKind::q3_K;
    case Type::q4_K:
      return PackedKind::q4_K;
    case Type::q5_K:
      return PackedKind::q5_K;
    case Type::q6_K:
      return PackedKind::q6_K;
    case Type::iq4_nl:
      return PackedKind::iq4_nl;
    case Type::iq4_xs:
      return PackedKind::iq4_xs;
    case Type::mxfp4:
      return PackedKind::mxfp4;
    case Type::q2_0:
      return PackedKind::q2_0;
    default:
      return PackedKind::count;
  }
}

namespace {

template <std::size_t... kind>
std::size_t tile_bytes_of(PackedKind wanted, std::size_t tile_rows, std::size_t blocks,
                          std::index_sequence<kind...>) {
  std::size_t bytes = 0;
  ((bytes += kind == static_cast<std::size_t>(wanted)
                 ? tile_layout<static_cast<PackedKind>(kind)>(tile_rows, blocks).bytes
                 : 0),
   ...);
  return bytes;
}

}  // namespace

std::size_t tile_bytes(PackedKind kind, std::size_t tile_rows, std::size_t cols) {
  return tile_bytes_of(kind, tile_rows, cols / kBlock, std::make_index_sequence<kPackedKinds>());
}

}  // namespace ggmlkit
