#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/texts.h"
#include "text/byte_pairs.h"
#include "text/sentence_pieces.h"
#include "text/token_finder.h"
#include "text/word_splitter.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using text::BytePairs;
using text::Fallback;
using text::SentencePieces;
using text::TokenFinder;
using text::WordSplitter;
using TokenVector = std::vector<std::int32_t>;

// A piece can begin with a space, but never contain one after that.
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

Fallback fallback_of(const std::vector<std::pair<int, std::int32_t>>& bytes, std::int32_t unknown,
                     bool fuse) {
  Fallback fallback;
  for (const auto& [byte, token] : bytes) {
    if (byte < 0 || byte > 255) throw py::value_error("a byte lies outside 0 to 255");
    fallback.bytes[static_cast<std::size_t>(byte)] = token;
  }
  fallback.unknown = unknown;
  fallback.fuse = fuse;
  return fallback;
}

TokenVector encode_bytes(const BytePairs& pairs, const py::str& string,
                         const WordSplitter& splitter) {
  const std::string_view text = utf8(string);
  const ReleasedGil unlocked;
  TokenVector tokens;
  std::string letters;
  splitter.words(text, [&](std::string_view word) {
    letters.clear();
    text::append_letters(word, letters);
    pairs.encode(letters, tokens);
  });
  return tokens;
}

py::list words(const WordSplitter& splitter, const py::str& string, bool letters) {
  py::list found;
  std::string spelled;
  splitter.words(utf8(string), [&](std::string_view word) {
    if (letters) {
      spelled.clear();
      text::append_letters(word, spelled);
      word = spelled;
    }
    found.append(py::str(word.data(), word.size()));
  });
  return found;
}

std::unique_ptr<SentencePieces> sentence_pieces(const py::object& pieces, const ByteArray& joinable,
                                                const FloatArray& scores, const Fallback& fallback,
                                                SentencePieces::Ties ties) {
  std::vector<std::string_view> texts = texts_of(pieces);
  if (static_cast<std::size_t>(joinable.size()) != texts.size() ||
      static_cast<std::size_t>(scores.size()) != texts.size()) {
    throw py::value_error("pieces, joinable and scores are not of one length");
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (joinable.data()[i] == 0) texts[i] = {};
  }
  const std::vector<float> score(scores.data(), scores.data() + texts.size());
  return std::make_unique<SentencePieces>(texts, score, fallback, ties);
}

using PatternTuple = std::tuple<std::string, std::int32_t, bool, bool, bool, bool>;

std::unique_ptr<TokenFinder> token_finder(const std::vector<PatternTuple>& tuples) {
  std::vector<TokenFinder::Pattern> patterns;
  patterns.reserve(tuples.size());
  for (const auto& [text, token, special, left, right, single_word] : tuples) {
    patterns.push_back({text, token, special, left, right, single_word});
  }
  return std::make_unique<TokenFinder>(std::move(patterns));
}

// Texts and the tokens between them, in order.
py::list split_text(const TokenFinder& finder, const py::str& string, bool special,
                    bool longest_first) {
  const std::string_view text = utf8(string);
  const auto matches =
      longest_first ? finder.longest_first(text, special) : finder.leftmost_longest(text, special);
  py::list parts;
  std::size_t at = 0;
  const auto append_text = [&](std::size_t end) {
    if (end > at) parts.append(py::str(text.data() + at, end - at));
  };
  for (const auto& match : matches) {
    append_text(match.begin);
    parts.append(match.token);
    at = match.end;
  }
  append_text(text.size());
  return parts;
}

}  // namespace

void bind_tokenization(py::module_& m) {
  py::class_<Fallback>(m, "Fallback")
      .def(py::init(&fallback_of), py::arg("bytes"), py::arg("unknown"), py::arg("fuse"));
  py::class_<WordSplitter>(m, "WordSplitter")
      .def(py::init<const std::vector<std::string>&>(), py::arg("expressions"))
      .def("words", &words, py::arg("text"), py::arg("letters"));
  py::class_<BytePairs>(m, "Bpe")
      .def(py::init([](const py::object& pieces, const py::object& merges, bool whole_words,
                       const Fallback& fallback) {
             return BytePairs(texts_of(pieces), pairs_of(texts_of(merges)), whole_words, fallback);
           }),
           py::arg("pieces"), py::arg("merges"), py::arg("whole_words"),
           py::arg("fallback") = Fallback())
      .def("encode", &encode_words<BytePairs>, py::arg("words"))
      .def("encode_bytes", &encode_bytes, py::arg("text"), py::arg("splitter"));
  py::enum_<SentencePieces::Ties>(m, "Ties")
      .value("LEFTMOST", SentencePieces::Ties::kLeftmost)
      .value("SHORT_LEFT", SentencePieces::Ties::kShortLeft)
      .value("LONG_LEFT", SentencePieces::Ties::kLongLeft);
  py::class_<SentencePieces>(m, "SentencePieces")
      .def(py::init(&sentence_pieces), py::arg("pieces"), py::arg("joinable"), py::arg("scores"),
           py::arg("fallback"), py::arg("ties"))
      .def("encode", &encode_words<SentencePieces>, py::arg("words"));
  py::class_<TokenFinder>(m, "TokenFinder")
      .def(py::init(&token_finder), py::arg("patterns"))
      .def("split", &split_text, py::arg("text"), py::arg("special"), py::arg("longest_first"));
}

}  // namespace ggmlkit
