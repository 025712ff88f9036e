#include <fcntl.h>

#include <memory>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "core/mapping_guard.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

// A hint: without support by the system or the file system, nothing happens.
void start_writeback([[maybe_unused]] int descriptor) {
  const ReleasedGil release;
#if defined(SYNC_FILE_RANGE_WRITE)
  (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
}

}  // namespace

void bind_files(py::module_& m) {
  m.def("start_writeback", &start_writeback, py::arg("descriptor"),
        "Ask the system to start writing a file's data to the disk, without waiting for it.");
  py::class_<MappingGuard>(m, "MappingGuard")
      .def(py::init([](const ByteArray& mapped) {
             return std::make_unique<MappingGuard>(bytes_of(mapped),
                                                   static_cast<std::size_t>(mapped.size()));
           }),
           py::arg("mapped"))
      .def_property_readonly("has_lost_pages", &MappingGuard::has_lost_pages);
}

}  // namespace ggmlkit
