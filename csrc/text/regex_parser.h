// Parses a regular expression.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/regex.h"

namespace ggmlkit::text {

class RegexParser {
 public:
  explicit RegexParser(std::string_view expression) : text_(expression) {}

  // Throws std::invalid_argument for an expression that is not supported.
  std::vector<Regex::Sequence> parse();

 private:
  using Kind = Regex::Kind;
  using Node = Regex::Node;

  std::vector<Regex::Sequence> alternatives(bool ignore_case);
  Node atom(bool ignore_case);
  Node group(bool ignore_case);
  void quantify(Node& node);
  static Node repeated(const Node& node);
  std::optional<CharacterSet> escaped_set();
  char32_t escaped_code();
  CharacterSet bracket(bool ignore_case);
  char32_t bracket_code();
  bool is_range() const;
  CharacterSet category(bool inverted);
  char32_t code_of_hex(std::size_t digits);

  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  bool skip(std::string_view what);
  void expect(char what);
  char32_t next();
  std::uint32_t number();
  [[noreturn]] void refuse(const std::string& what) const;

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace ggmlkit::text
