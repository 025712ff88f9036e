// Loops whose numbers the compiler knows, as those of a lane or a shift must be: of arrays that no
// variable ever indexes, it keeps every element in a register.
#pragma once

#include <utility>

namespace ggmlkit {
namespace {  // see core/convert.h: nothing here may be shared between instruction sets

template <class Function, int... i>
[[gnu::always_inline]] inline void each(Function f, std::integer_sequence<int, i...>) {
  (f(std::integral_constant<int, i>()), ...);
}
// f(0), …, f(N - 1)
template <int N, class Function>
[[gnu::always_inline]] inline void each(Function f) {
  each(f, std::make_integer_sequence<int, N>());
}

}  // namespace
}  // namespace ggmlkit
