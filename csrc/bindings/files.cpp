#include <fcntl.h>

#include "bindings/bindings.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

// A hint: where the system or the file system doesn't know it, nothing happens.
void start_writeback([[maybe_unused]] int descriptor) {
  py::gil_scoped_release release;
#if defined(SYNC_FILE_RANGE_WRITE)
  (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#endif
}

}  // namespace

void bind_files(py::module_& m) {
  m.def("start_writeback", &start_writeback, py::arg("descriptor"),
        "Ask the system to begin storing what was written to a file, without waiting for it.");
}

}  // namespace ggmlkit
