// Strings of a model file for Python.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ggmlkit {

// A string as str, or as bytes if it is not UTF-8.
inline pybind11::object python_text(std::string_view text) {
  const char* data = text.data();
  const auto n = static_cast<Py_ssize_t>(text.size());
  PyObject* string = PyUnicode_DecodeUTF8(data, n, nullptr);
  if (string == nullptr) {
    if (PyErr_ExceptionMatches(PyExc_UnicodeDecodeError) == 0) throw pybind11::error_already_set();
    PyErr_Clear();
    string = PyBytes_FromStringAndSize(data, n);
    if (string == nullptr) throw pybind11::error_already_set();
  }
  return pybind11::reinterpret_steal<pybind11::object>(string);
}

// Strings that stay in the file's form until one is read.
class StoredStrings {
 public:
  StoredStrings(const StoredStrings&) = delete;  // as it would view the first one's bytes
  // From `texts`, views of a part of memory, which is copied.
  StoredStrings(std::string_view part, std::vector<std::string_view> texts)
      : stored_(part), texts_(std::move(texts)) {
    for (std::string_view& text : texts_) {
      text = std::string_view(stored_).substr(static_cast<std::size_t>(text.data() - part.data()),
                                              text.size());
    }
  }

  const std::vector<std::string_view>& texts() const { return texts_; }

  pybind11::object at(std::size_t i) const {
    if (i >= texts_.size()) throw pybind11::index_error();
    return python_text(texts_[i]);
  }

  pybind11::list list() const {
    pybind11::list all(texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) all[i] = python_text(texts_[i]);
    return all;
  }

  // The places of those texts that are among the strings; the last one of equal strings.
  pybind11::dict find(const std::vector<std::string>& texts) const {
    std::unordered_map<std::string_view, std::size_t> places;
    for (const std::string& text : texts) places.emplace(text, texts_.size());
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      if (const auto place = places.find(texts_[i]); place != places.end()) place->second = i;
    }
    pybind11::dict found;
    for (const auto& [text, place] : places) {
      if (place < texts_.size()) found[python_text(text)] = place;
    }
    return found;
  }

 private:
  std::string stored_;
  std::vector<std::string_view> texts_;
};

}  // namespace ggmlkit
