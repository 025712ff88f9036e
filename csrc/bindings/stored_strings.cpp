#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/stored_strings.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

// Strings as in a file: each follows its length of four or eight bytes.
struct Format {
  bool wide;
  bool big_endian;

  std::size_t width() const { return wide ? 8 : 4; }

  // Calls take(string) for up to `count` strings that are complete in `data` from `offset` on.
  // Returns their number, and where the last one ends.
  template <class Take>
  std::pair<std::size_t, std::size_t> walk(std::string_view data, std::size_t offset,
                                           std::size_t count, Take take) const {
    std::size_t found = 0;
    for (; found < count && offset <= data.size() && data.size() - offset >= width(); ++found) {
      std::uint64_t length = 0;
      for (std::size_t i = 0; i < width(); ++i) {
        const auto byte = static_cast<unsigned char>(data[offset + i]);
        length |= std::uint64_t{byte} << 8 * (big_endian ? width() - 1 - i : i);
      }
      if (length > data.size() - offset - width()) break;
      take(data.substr(offset + width(), length));
      offset += width() + length;
    }
    return {found, offset};
  }
};

std::string_view view_of(const py::buffer_info& data) {
  return {static_cast<const char*>(data.ptr), static_cast<std::size_t>(data.size * data.itemsize)};
}

std::pair<py::list, std::size_t> read_strings(const py::buffer& data, std::size_t offset,
                                              std::size_t count, bool wide, bool big_endian) {
  py::list found;
  const auto take = [&](std::string_view text) { found.append(python_text(text)); };
  const std::size_t end =
      Format{wide, big_endian}.walk(view_of(data.request()), offset, count, take).second;
  return {std::move(found), end};
}

std::pair<std::unique_ptr<StoredStrings>, std::size_t> stored_strings(const py::buffer& buffer,
                                                                      std::size_t offset,
                                                                      std::size_t count, bool wide,
                                                                      bool big_endian) {
  const py::buffer_info info = buffer.request();
  const std::string_view data = view_of(info);
  const Format format{wide, big_endian};
  std::vector<std::string_view> texts;
  texts.reserve(std::min(count, std::size_t{1} << 18));  // a file can claim any count
  const auto take = [&](std::string_view text) { texts.push_back(text); };
  const std::size_t end = format.walk(data, offset, count, take).second;
  return {std::make_unique<StoredStrings>(data.substr(std::min(offset, data.size()), end - offset),
                                          std::move(texts)),
          end};
}

}  // namespace

void bind_stored_strings(py::module_& m) {
  m.def("read_strings", &read_strings, py::arg("data"), py::arg("offset"), py::arg("count"),
        py::arg("wide"), py::arg("big_endian"));
  m.def("stored_strings", &stored_strings, py::arg("data"), py::arg("offset"), py::arg("count"),
        py::arg("wide"), py::arg("big_endian"));
  py::class_<StoredStrings>(m, "StoredStrings")
      .def("__len__", [](const StoredStrings& s) { return s.texts().size(); })
      .def("__getitem__", &StoredStrings::at, py::arg("index"))
      .def("list", &StoredStrings::list)
      .def("find", &StoredStrings::find, py::arg("texts"));
}

}  // namespace ggmlkit
