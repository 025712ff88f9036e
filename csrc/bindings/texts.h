// Texts from Python, as views that live as long as its strings.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "bindings/stored_strings.h"
#include "text/utf8.h"

namespace ggmlkit {

// A string's UTF-8.
inline std::string_view utf8(pybind11::handle string) {
  Py_ssize_t size = 0;
  const char* data = PyUnicode_AsUTF8AndSize(string.ptr(), &size);
  if (data == nullptr) throw pybind11::error_already_set();
  return {data, static_cast<std::size_t>(size)};
}

// The texts of a list or of stored strings; an entry that is not text has no data.
inline std::vector<std::string_view> texts_of(const pybind11::object& strings) {
  std::vector<std::string_view> found;
  found.reserve(pybind11::len(strings));
  if (pybind11::isinstance<StoredStrings>(strings)) {
    for (const std::string_view text : strings.cast<const StoredStrings&>().texts()) {
      found.push_back(text::is_utf8(text) ? text : std::string_view());
    }
  } else {
    for (const pybind11::handle string : strings) {
      found.push_back(PyUnicode_Check(string.ptr()) ? utf8(string) : std::string_view());
    }
  }
  return found;
}

// The tokens of words, which the encoder gets one by one.
template <class Encoder>
std::vector<std::int32_t> encode_words(const Encoder& encoder, const pybind11::iterable& words) {
  std::vector<std::int32_t> tokens;
  for (const pybind11::handle word : words) encoder.encode(utf8(word), tokens);
  return tokens;
}

}  // namespace ggmlkit
