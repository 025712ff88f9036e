// The attention kernels one by one, for tests, on keys and values given as rows.
#include "bindings/bindings.h"

#include <string>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/layouts/kv_group.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

struct Shape {
  std::size_t rows;
  std::size_t cols;
};

Shape shape_of(const FloatArray& a) {
  if (a.ndim() != 2) throw py::value_error("a matrix is needed");
  return {static_cast<std::size_t>(a.shape(0)), static_cast<std::size_t>(a.shape(1))};
}

void require(bool fits) {
  if (!fits) throw py::value_error("the shapes do not fit");
}

const KvKernels& kernels_of(KvType type) { return active().kv[static_cast<std::size_t>(type)]; }

// The rows in whole groups, as keys or as values.
std::vector<std::byte> stored(KvType type, const FloatArray& x, bool as_keys) {
  const auto [rows, d] = shape_of(x);
  const KvKernels& kernels = kernels_of(type);
  const auto store = as_keys ? kernels.store_key : kernels.store_value;
  const std::size_t bytes = kv_group_bytes(type, d);
  std::vector<std::byte> groups((rows + kKvGroup - 1) / kKvGroup * bytes);
  for (std::size_t p = 0; p < rows; ++p) {
    store(x.data() + p * d, d, p % kKvGroup, groups.data() + p / kKvGroup * bytes);
  }
  return groups;
}

py::bytes kv_groups(const std::string& type, const FloatArray& x, bool as_keys) {
  const std::vector<std::byte> groups = stored(kv_type_named(type), x, as_keys);
  return py::bytes(reinterpret_cast<const char*>(groups.data()), groups.size());
}

// scores: float32 (queries, positions rounded up to whole groups).
void kv_scores(const std::string& type, const FloatArray& q, const FloatArray& keys,
               FloatArray scores) {
  const auto [rows, d] = shape_of(q);
  const auto [positions, d_keys] = shape_of(keys);
  const std::size_t groups = (positions + kKvGroup - 1) / kKvGroup;
  const auto [rows_out, ld] = shape_of(scores);
  require(d == d_keys && rows == rows_out && ld == groups * kKvGroup);
  const KvType kind = kv_type_named(type);
  kernels_of(kind).scores(q.data(), rows, d, stored(kind, keys, true).data(), groups,
                          scores.mutable_data(), ld);
}

// out += weights · values.
void kv_add_values(const std::string& type, const FloatArray& weights, const FloatArray& values,
                   FloatArray out) {
  const auto [rows, positions] = shape_of(weights);
  const auto [n, d] = shape_of(values);
  const auto [rows_out, d_out] = shape_of(out);
  require(positions == n && rows == rows_out && d == d_out);
  const KvType kind = kv_type_named(type);
  kernels_of(kind).add_values(weights.data(), positions, rows, d,
                              stored(kind, values, false).data(), positions, out.mutable_data());
}

}  // namespace

KvType kv_type_named(const std::string& name) {
  if (name == "f16") return KvType::f16;
  if (name == "q8_0") return KvType::q8_0;
  if (name == "q4_0") return KvType::q4_0;
  throw py::value_error("keys and values can't be cached as " + name +
                        "; as f16, q8_0 or q4_0 they can");
}

void bind_attention(py::module_& m) {
  m.def("kv_groups", kv_groups, py::arg("type"), py::arg("x"), py::arg("as_keys"));
  m.def("kv_scores", kv_scores, py::arg("type"), py::arg("q"), py::arg("keys"),
        py::arg("scores").noconvert());
  m.def("kv_add_values", kv_add_values, py::arg("type"), py::arg("weights"), py::arg("values"),
        py::arg("out").noconvert());
}

}  // namespace ggmlkit
