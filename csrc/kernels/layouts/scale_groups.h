// How many columns share a scale.
#pragma once

#include <cstddef>

#include "core/types.h"

namespace ggmlkit {

// Of the types that have such groups of 16 or 32.
constexpr std::size_t scale_group(Type type) {
  return type == Type::q2_K || type == Type::q3_K || type == Type::q6_K ? 16 : 32;
}

}  // namespace ggmlkit
