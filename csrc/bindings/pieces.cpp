#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/texts.h"
#include "text/compiled_normalizer.h"
#include "text/piece_trie.h"
#include "text/unigram.h"
#include "text/word_pieces.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using text::CompiledNormalizer;
using text::PieceTrie;
using text::Unigram;
using text::WordPieces;

using PieceNumbers = py::array_t<std::int32_t, py::array::c_style | py::array::forcecast>;
using Scores = py::array_t<double, py::array::c_style | py::array::forcecast>;

// SentencePiece's default limit is 16 characters. With pieces as long as a text, searching for them
// at each of its characters would take endless time.
constexpr std::size_t kLongestPiece = 4000;

// The pieces of `tokens`, which live as long as the strings; empty ones and those that are not text
// are left out. Throws ValueError for one that is too long.
std::vector<PieceTrie::Piece> pieces_of(const std::vector<std::string_view>& texts,
                                        const PieceNumbers& tokens) {
  std::vector<PieceTrie::Piece> found;
  found.reserve(static_cast<std::size_t>(tokens.size()));
  for (py::ssize_t i = 0; i < tokens.size(); ++i) {
    const std::int32_t token = tokens.data()[i];
    if (token < 0 || static_cast<std::size_t>(token) >= texts.size()) {
      throw py::value_error("no such piece");
    }
    const std::string_view text = texts[static_cast<std::size_t>(token)];
    if (text.size() > kLongestPiece) {
      throw py::value_error("token " + std::to_string(token) + " has " +
                            std::to_string(text.size()) + " bytes, more than the " +
                            std::to_string(kLongestPiece) + " that a piece may have");
    }
    if (!text.empty()) found.push_back({text, token});
  }
  return found;
}

Unigram unigram(const py::object& pieces, const PieceNumbers& tokens, const Scores& scores,
                double unknown_score, int unknown, std::vector<int> byte_tokens,
                bool single_precision) {
  const std::vector<std::string_view> texts = texts_of(pieces);
  if (static_cast<std::size_t>(scores.size()) != texts.size()) {
    throw py::value_error("a score for each piece is needed");
  }
  if (!byte_tokens.empty() && byte_tokens.size() != 256) {
    throw py::value_error("256 byte tokens are needed, or none");
  }
  return {pieces_of(texts, tokens),
          {scores.data(), scores.data() + scores.size()},
          {unknown_score, unknown, std::move(byte_tokens), single_precision}};
}

}  // namespace

void bind_pieces(py::module_& m) {
  py::class_<Unigram>(m, "Unigram")
      .def(py::init(&unigram), py::arg("pieces"), py::arg("tokens"), py::arg("scores"),
           py::arg("unknown_score"), py::arg("unknown"), py::arg("byte_tokens"),
           py::arg("single_precision"))
      .def("encode", &encode_words<Unigram>, py::arg("words"));
  py::class_<WordPieces>(m, "WordPieces")
      .def(py::init([](const py::object& pieces, const PieceNumbers& tokens,
                       const std::string& mark, bool strict, int unknown, std::size_t most) {
             return WordPieces(pieces_of(texts_of(pieces), tokens), mark, strict, unknown, most);
           }),
           py::arg("pieces"), py::arg("tokens"), py::arg("mark"), py::arg("strict"),
           py::arg("unknown"), py::arg("most"))
      .def("encode", &encode_words<WordPieces>, py::arg("words"));
  py::class_<CompiledNormalizer>(m, "CompiledNormalizer")
      .def(
          py::init([](const py::bytes& charsmap, const py::object& pieces, const PieceNumbers& kept,
                      bool before, bool after, bool collapse, bool by_words) {
            return CompiledNormalizer(charsmap, pieces_of(texts_of(pieces), kept),
                                      {before, after, collapse, by_words});
          }),
          py::arg("charsmap"), py::arg("pieces"), py::arg("kept"), py::arg("before"),
          py::arg("after"), py::arg("collapse"), py::arg("by_words"))
      .def(
          "normalized",
          [](const CompiledNormalizer& normalizer, const py::str& text) {
            const std::string found = normalizer.normalized(utf8(text));
            PyObject* string = PyUnicode_DecodeUTF8(
                found.data(), static_cast<Py_ssize_t>(found.size()), "replace");
            if (string == nullptr) throw py::error_already_set();
            return py::reinterpret_steal<py::str>(string);
          },
          py::arg("text"));
}

}  // namespace ggmlkit
