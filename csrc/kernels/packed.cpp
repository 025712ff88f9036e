#include "kernels/packed.h"

namespace ggmlkit {

PackedKind packed_kind_of(Type type) {
  switch (type) {
    case Type::q4_0:
    case Type::q4_0_v1:
    case Type::q4_0_v2:
      return PackedKind::nibble;
    case Type::q4_1:
    case Type::q4_K:
    case Type::q4_1_v1:
    case Type::q4_1_v2:
      return PackedKind::nibble_min;
    case Type::q5_0:
    case Type::q5_0_v1:
      return PackedKind::five;
    case Type::q5_1:
    case Type::q5_K:
    case Type::q5_1_v1:
      return PackedKind::five_min;
    case Type::q8_0:
    case Type::q8_0_v2:
    case Type::q3_K:
    case Type::iq4_nl:
    case Type::iq4_xs:
    case Type::mxfp4:
      return PackedKind::byte;
    case Type::q6_K:
      return PackedKind::byte16;
    default:
      return PackedKind::count;
  }
}

std::size_t tile_bytes(PackedKind kind, std::size_t tile_rows, std::size_t cols) {
  const std::size_t blocks = cols / kBlock;
  switch (kind) {
    case PackedKind::nibble:
      return tile_layout<PackedKind::nibble>(tile_rows, blocks).bytes;
    case PackedKind::nibble_min:
      return tile_layout<PackedKind::nibble_min>(tile_rows, blocks).bytes;
    case PackedKind::five:
      return tile_layout<PackedKind::five>(tile_rows, blocks).bytes;
    case PackedKind::five_min:
      return tile_layout<PackedKind::five_min>(tile_rows, blocks).bytes;
    case PackedKind::byte:
      return tile_layout<PackedKind::byte>(tile_rows, blocks).bytes;
    case PackedKind::byte16:
      return tile_layout<PackedKind::byte16>(tile_rows, blocks).bytes;
    default:
      return 0;
  }
}

}  // namespace ggmlkit
