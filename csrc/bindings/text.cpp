#include <pybind11/stl.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "text/byte_pairs.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using text::BytePairs;

// A string's UTF-8, which lives as long as the string.
std::string_view utf8(py::handle string) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(string.ptr(), &size);
  if (data == nullptr) throw py::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

// A piece may itself begin with a space, never hold one further on.
BytePairs::Pair split_merge(py::handle merge, std::size_t number) {
  const std::string_view text = PyUnicode_Check(merge.ptr()) ? utf8(merge) : std::string_view();
  const std::size_t cut = text.find(' ', 1);
  if (cut == std::string_view::npos) {
    throw py::value_error("merges entry " + std::to_string(number) + " is no pair of pieces");
  }
  return {text.substr(0, cut), text.substr(cut + 1)};
}

// Holds the strings that the pairs look into.
class Bpe {
 public:
  Bpe(py::list pieces, const py::list& merges, bool whole_words)
      : pieces_(std::move(pieces)), pairs_(texts(pieces_), pairs(merges), whole_words) {}

  std::vector<BytePairs::Token> encode(const py::iterable& words) const {
    std::vector<BytePairs::Token> tokens;
    for (const py::handle word : words) pairs_.encode(utf8(word), tokens);
    return tokens;
  }

 private:
  static std::vector<std::string_view> texts(const py::list& pieces) {
    std::vector<std::string_view> found;
    found.reserve(pieces.size());
    for (const py::handle piece : pieces) {
      found.push_back(PyUnicode_Check(piece.ptr()) ? utf8(piece) : std::string_view());
    }
    return found;
  }

  static std::vector<BytePairs::Pair> pairs(const py::list& merges) {
    std::vector<BytePairs::Pair> found;
    found.reserve(merges.size());
    for (const py::handle merge : merges) found.push_back(split_merge(merge, found.size()));
    return found;
  }

  py::list pieces_;
  BytePairs pairs_;
};

// As many of `count` strings as lie whole in `data` from `offset` on, each after its length, and
// where the last of them ends. Strings that are no UTF-8 come as bytes.
std::pair<py::list, std::size_t> read_strings(const py::buffer& data, std::size_t offset,
                                              std::size_t count, bool wide, bool big_endian) {
  const py::buffer_info view = data.request();
  const auto* bytes = static_cast<const unsigned char*>(view.ptr);
  const auto size = static_cast<std::size_t>(view.size * view.itemsize);
  const std::size_t width = wide ? 8 : 4;
  py::list found;
  for (; count != 0 && offset <= size && size - offset >= width; --count) {
    std::uint64_t length = 0;
    for (std::size_t i = 0; i < width; ++i) {
      length |= std::uint64_t{bytes[offset + i]} << 8 * (big_endian ? width - 1 - i : i);
    }
    if (length > size - offset - width) break;
    const auto* text = reinterpret_cast<const char*>(bytes + offset + width);
    const auto n = static_cast<Py_ssize_t>(length);
    PyObject* string = PyUnicode_DecodeUTF8(text, n, nullptr);
    if (string == nullptr) {
      if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) throw py::error_already_set();
      PyErr_Clear();
      string = PyBytes_FromStringAndSize(text, n);
      if (string == nullptr) throw py::error_already_set();
    }
    found.append(py::reinterpret_steal<py::object>(string));
    offset += width + length;
  }
  return {std::move(found), offset};
}

}  // namespace

void bind_text(py::module_& m) {
  m.def("read_strings", &read_strings, py::arg("data"), py::arg("offset"), py::arg("count"),
        py::arg("wide"), py::arg("big_endian"));
  py::class_<Bpe>(m, "Bpe")
      .def(py::init<py::list, const py::list&, bool>(), py::arg("pieces"), py::arg("merges"),
           py::arg("whole_words"))
      .def("encode", &Bpe::encode, py::arg("words"));
}

}  // namespace ggmlkit
