#include "bindings/bindings.h"
#include "core/thread_pool.h"
#include "kernels/kernel_table.h"
#include "quant/matmul.h"
#include "quant/quantize.h"

namespace py = pybind11;

namespace ggmlkit {

void bind_types(py::module_& m) {
  m.def("type_table", [] {
    py::list rows;
    for (std::size_t i = 0; i < kTypeCount; ++i) {
      const Type type = static_cast<Type>(i);
      const TypeInfo& t = info(type);
      rows.append(py::make_tuple(t.name, t.ggml_id, t.block_size, t.block_bytes, t.generation, i,
                                 can_dequantize(type), can_quantize(type), takes_importance(type),
                                 has_product(type)));
    }
    return rows;
  });
  m.def("isa", [] { return active().name; }, "The instruction set in use.");
  m.def("available_threads", &available_threads);
}

}  // namespace ggmlkit
