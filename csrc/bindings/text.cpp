#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "text/byte_pairs.h"
#include "text/utf8.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using text::BytePairs;

// ---------------------------------------------------------------- strings of a file

// How a file holds strings: each after its length, of four bytes or eight.
struct Format {
  bool wide;
  bool big_endian;

  std::size_t width() const { return wide ? 8 : 4; }

  // Calls take(string) for as many of `count` as lie whole in `data` from `offset` on. Returns how
  // many they were, and where the last ended.
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

// A string; what is no UTF-8 as bytes.
py::object python_text(std::string_view text) {
  const char* data = text.data();
  const auto n = static_cast<Py_ssize_t>(text.size());
  PyObject* string = PyUnicode_DecodeUTF8(data, n, nullptr);
  if (string == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    string = PyBytes_FromStringAndSize(data, n);
    if (string == nullptr) throw py::error_already_set();
  }
  return py::reinterpret_steal<py::object>(string);
}

std::pair<py::list, std::size_t> read_strings(const py::buffer& data, std::size_t offset,
                                              std::size_t count, bool wide, bool big_endian) {
  py::list found;
  const auto take = [&](std::string_view text) { found.append(python_text(text)); };
  const std::size_t end =
      Format{wide, big_endian}.walk(view_of(data.request()), offset, count, take).second;
  return {std::move(found), end};
}

// Strings that stay as a file holds them until one is asked for.
class StoredStrings {
 public:
  StoredStrings(const StoredStrings&) = delete;  // as it would view the first one's bytes
  // Those of `texts`, views of a part of memory that is copied.
  StoredStrings(std::string_view part, std::vector<std::string_view> texts)
      : stored_(part), texts_(std::move(texts)) {
    for (std::string_view& text : texts_) {
      text = std::string_view(stored_).substr(static_cast<std::size_t>(text.data() - part.data()),
                                              text.size());
    }
  }

  const std::vector<std::string_view>& texts() const { return texts_; }

  py::object at(std::size_t i) const {
    if (i >= texts_.size()) throw py::index_error();
    return python_text(texts_[i]);
  }

  py::list list() const {
    py::list all(texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) all[i] = python_text(texts_[i]);
    return all;
  }

 private:
  std::string stored_;
  std::vector<std::string_view> texts_;
};

std::pair<std::unique_ptr<StoredStrings>, std::size_t> stored_strings(const py::buffer& buffer,
                                                                      std::size_t offset,
                                                                      std::size_t count, bool wide,
                                                                      bool big_endian) {
  const py::buffer_info info = buffer.request();
  const std::string_view data = view_of(info);
  const Format format{wide, big_endian};
  std::vector<std::string_view> texts;
  texts.reserve(std::min(count, std::size_t{1} << 18));  // a file may claim any count
  const auto take = [&](std::string_view text) { texts.push_back(text); };
  const std::size_t end = format.walk(data, offset, count, take).second;
  return {std::make_unique<StoredStrings>(data.substr(std::min(offset, data.size()), end - offset),
                                          std::move(texts)),
          end};
}

// ---------------------------------------------------------------- byte pair encoding

// A string's UTF-8, which lives as long as the string.
std::string_view utf8(py::handle string) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(string.ptr(), &size);
  if (data == nullptr) throw py::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

// Views of a list's strings, or of stored ones, which live as long as these; without data where
// something is no text.
std::vector<std::string_view> texts_of(const py::object& strings) {
  std::vector<std::string_view> found;
  found.reserve(py::len(strings));
  if (py::isinstance<StoredStrings>(strings)) {
    for (const std::string_view text : strings.cast<const StoredStrings&>().texts()) {
      found.push_back(text::is_utf8(text) ? text : std::string_view());
    }
  } else {
    for (const py::handle string : strings) {
      found.push_back(PyUnicode_Check(string.ptr()) ? utf8(string) : std::string_view());
    }
  }
  return found;
}

// A piece may itself begin with a space, never hold one further on.
std::vector<BytePairs::Pair> pairs_of(const std::vector<std::string_view>& merges) {
  std::vector<BytePairs::Pair> found;
  found.reserve(merges.size());
  for (const std::string_view text : merges) {
    const std::size_t cut = text.find(' ', 1);
    if (cut == std::string_view::npos) {
      throw py::value_error("merges entry " + std::to_string(found.size()) +
                            " is no pair of pieces");
    }
    found.push_back({text.substr(0, cut), text.substr(cut + 1)});
  }
  return found;
}

std::vector<BytePairs::Token> encode(const BytePairs& pairs, const py::iterable& words) {
  std::vector<BytePairs::Token> tokens;
  for (const py::handle word : words) pairs.encode(utf8(word), tokens);
  return tokens;
}

}  // namespace

void bind_text(py::module_& m) {
  m.def("read_strings", &read_strings, py::arg("data"), py::arg("offset"), py::arg("count"),
        py::arg("wide"), py::arg("big_endian"));
  m.def("stored_strings", &stored_strings, py::arg("data"), py::arg("offset"), py::arg("count"),
        py::arg("wide"), py::arg("big_endian"));
  py::class_<StoredStrings>(m, "StoredStrings")
      .def("__len__", [](const StoredStrings& s) { return s.texts().size(); })
      .def("__getitem__", &StoredStrings::at, py::arg("index"))
      .def("list", &StoredStrings::list);
  py::class_<BytePairs>(m, "Bpe")
      .def(py::init([](const py::object& pieces, const py::object& merges, bool whole_words) {
             return BytePairs(texts_of(pieces), pairs_of(texts_of(merges)), whole_words);
           }),
           py::arg("pieces"), py::arg("merges"), py::arg("whole_words"))
      .def("encode", &encode, py::arg("words"));
}

}  // namespace ggmlkit
