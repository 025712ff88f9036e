// What every check of a set is given, and the names of checks.
#pragma once

#include <cstddef>
#include <string>

#include "inputs.h"
#include "report.h"

namespace ggmlkit::check {
namespace {

std::string said(const char* slot, Type type, std::size_t n) {
  return std::string(slot) + " " + info(type).name + ", " + std::to_string(n);
}

std::string said(const char* slot, std::size_t rows, std::size_t cols, std::size_t tokens) {
  return std::string(slot) + ", " + std::to_string(rows) + " rows of " + std::to_string(cols) +
         ", " + std::to_string(tokens) + " tokens";
}

struct Checked {
  const KernelTable& table;
  const KernelTable& scalar;
  Report& report;
  Random random;

  const TypeKernels& kernels(Type type) const { return table.types[index(type)]; }
  const TypeKernels& expected(Type type) const { return scalar.types[index(type)]; }
  static std::size_t index(Type type) { return static_cast<std::size_t>(type); }
};

template <class Function>
void for_types(Function f) {
  for (std::size_t i = 0; i < kTypeCount; ++i) f(static_cast<Type>(i));
}

}  // namespace
}  // namespace ggmlkit::check
