#include "text/regex_parser.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <utility>

namespace ggmlkit::text {
namespace {

constexpr int kMaxDepth = 20;              // of nested groups
constexpr std::uint32_t kMostRepeats = 8;  // of a group
constexpr std::uint32_t kUnlimited = std::numeric_limits<std::uint32_t>::max();
constexpr char32_t kLastCode = 0x10FFFF;

CharacterSet of_range(char32_t first, char32_t last) {
  CharacterSet set;
  set.add_range(first, last);
  return set;
}

CharacterSet white_space() {
  CharacterSet set = of_range('\t', '\r');
  set.add_range(0x85, 0x85);
  set.add_categories(mask_of(Category::Zs, Category::Zl, Category::Zp));
  return set;
}

bool is_letter(char32_t code) { return (code | 0x20) >= 'a' && (code | 0x20) <= 'z'; }

// A letter in both cases, and the characters that fold to it.
CharacterSet either_case(char32_t code) {
  CharacterSet set = of_range(code, code);
  if (!is_letter(code)) return set;
  const char32_t lower = code | 0x20;
  set.add_range(lower, lower);
  set.add_range(lower - 0x20, lower - 0x20);
  if (lower == 's') set.add_range(0x17F, 0x17F);    // long s
  if (lower == 'k') set.add_range(0x212A, 0x212A);  // the Kelvin sign
  return set;
}

CharacterSet of_character(char32_t code, bool ignore_case) {
  return ignore_case ? either_case(code) : of_range(code, code);
}

using C = Category;
struct Named {
  std::string_view name;
  std::uint32_t mask;
};
constexpr std::uint32_t kLetters = mask_of(C::Lu, C::Ll, C::Lt, C::Lm, C::Lo);
constexpr Named kCategories[] = {
    {"L", kLetters},
    {"M", mask_of(C::Mn, C::Mc, C::Me)},
    {"N", mask_of(C::Nd, C::Nl, C::No)},
    {"P", mask_of(C::Pc, C::Pd, C::Ps, C::Pe, C::Pi, C::Pf, C::Po)},
    {"S", mask_of(C::Sm, C::Sc, C::Sk, C::So)},
    {"Z", mask_of(C::Zs, C::Zl, C::Zp)},
    {"Lu", mask_of(C::Lu)},
    {"Ll", mask_of(C::Ll)},
    {"Lt", mask_of(C::Lt)},
    {"Lm", mask_of(C::Lm)},
    {"Lo", mask_of(C::Lo)},
    {"Mn", mask_of(C::Mn)},
    {"Mc", mask_of(C::Mc)},
    {"Me", mask_of(C::Me)},
    {"Nd", mask_of(C::Nd)},
    {"Nl", mask_of(C::Nl)},
    {"No", mask_of(C::No)},
    {"Sc", mask_of(C::Sc)},
    {"Zs", mask_of(C::Zs)},
};

}  // namespace

std::vector<Regex::Sequence> RegexParser::parse() {
  auto found = alternatives(false);
  if (!done()) refuse("a ) without (");
  return found;
}

std::vector<Regex::Sequence> RegexParser::alternatives(bool ignore_case) {
  if (++depth_ > kMaxDepth) refuse("groups nested too deeply");
  std::vector<Regex::Sequence> found(1);
  while (!done() && peek() != ')') {
    if (skip("|")) {
      found.emplace_back();
      continue;
    }
    Node node = atom(ignore_case);
    quantify(node);
    found.back().push_back(std::move(node));
  }
  --depth_;
  return found;
}

Regex::Node RegexParser::atom(bool ignore_case) {
  if (skip("(")) return group(ignore_case);
  if (skip("$")) return {Kind::kLineEnd, {}};
  if (skip("^")) return {Kind::kLineStart, {}};
  if (skip("\\z")) return {Kind::kTextEnd, {}};
  if (skip("\\A")) return {Kind::kTextStart, {}};
  Node node{Kind::kCharacters, {}};
  if (skip("[")) {
    node.set = bracket(ignore_case);
  } else if (skip(".")) {
    node.set = of_range('\n', '\n');
    node.set.invert();
  } else if (skip("\\")) {
    const auto found = escaped_set();
    node.set = found ? *found : of_character(escaped_code(), ignore_case);
  } else if (std::string_view("*+?{").find(peek()) != std::string_view::npos) {
    refuse("a quantifier of nothing");
  } else {
    node.set = of_character(next(), ignore_case);
  }
  node.set.finish();
  return node;
}

Regex::Node RegexParser::group(bool ignore_case) {
  Node node{Kind::kGroup, {}};
  if (skip("?<!") || skip("?<=")) {
    node.kind = text_[at_ - 1] == '!' ? Kind::kNotBehind : Kind::kBehind;
    const Node one = atom(ignore_case);
    if (one.kind != Kind::kCharacters || peek() != ')') refuse("more than a character behind");
    node.set = one.set;
  } else {
    if (skip("?=")) {
      node.kind = Kind::kAhead;
    } else if (skip("?!")) {
      node.kind = Kind::kNotAhead;
    } else if (skip("?>")) {
      node.kind = Kind::kAtomic;
    } else if (skip("?i:")) {
      ignore_case = true;
    } else if (!skip("?:") && peek() == '?') {
      refuse("a group of another kind");
    }
    node.alternatives = alternatives(ignore_case);
  }
  expect(')');
  return node;
}

void RegexParser::quantify(Node& node) {
  const std::size_t begin = at_;
  if (skip("?")) {
    node.least = 0;
  } else if (skip("*")) {
    node.least = 0;
    node.most = kUnlimited;
  } else if (skip("+")) {
    node.most = kUnlimited;
  } else if (skip("{")) {
    node.least = number();
    node.most = node.least;
    if (skip(",")) node.most = peek() == '}' ? kUnlimited : number();
    expect('}');
    if (node.most < node.least) refuse("a range of numbers from high to low");
    if (peek() == '+') refuse("a quantifier of a quantifier");  // not possessive in Oniguruma
  }
  if (at_ == begin) return;
  node.lazy = skip("?");
  node.possessive = !node.lazy && skip("+");
  if (std::string_view("*+?{").find(peek()) != std::string_view::npos && !done()) {
    refuse("a quantifier of a quantifier");
  }
  if (node.kind == Kind::kCharacters) return;
  if (node.kind != Kind::kGroup || node.lazy) refuse("a repeated group");
  if (node.possessive) {
    node.kind = Kind::kAtomic;
  } else if (node.most > kMostRepeats) {
    refuse("a repeated group");
  } else if (node.most != 1) {
    node = repeated(node);
  }
}

// A group that matches `least` to `most` times `one`: the required ones in a row, then each
// optional one nested in the one before.
Regex::Node RegexParser::repeated(const Node& node) {
  Node one = node;
  one.least = one.most = 1;
  Regex::Sequence sequence;
  for (std::uint32_t count = node.most; count > node.least; --count) {
    Node more{Kind::kGroup, {}};
    more.least = 0;
    sequence.insert(sequence.begin(), one);
    more.alternatives.push_back(std::move(sequence));
    sequence = {std::move(more)};
  }
  sequence.insert(sequence.begin(), node.least, one);
  Node all{Kind::kGroup, {}};
  all.alternatives.push_back(std::move(sequence));
  return all;
}

// The set of characters after a backslash, if it is one.
std::optional<CharacterSet> RegexParser::escaped_set() {
  CharacterSet set;
  if (skip("s")) return white_space();
  if (skip("S")) {
    set = white_space();
    set.invert();
  } else if (skip("d")) {
    set.add_categories(mask_of(C::Nd));
  } else if (skip("p") || skip("P")) {
    return category(text_[at_ - 1] == 'P');
  } else {
    return std::nullopt;
  }
  return set;
}

// The single character after a backslash.
char32_t RegexParser::escaped_code() {
  const char32_t code = next();
  switch (code) {
    case 'r':
      return '\r';
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'f':
      return '\f';
    case 'v':
      return '\v';
    case 'u':
      return code_of_hex(4);
    case 'x': {
      const bool braces = skip("{");
      const char32_t value = code_of_hex(braces ? 8 : 2);
      if (braces) expect('}');
      return value;
    }
    default:
      if (is_letter(code)) refuse("an unknown escape");
      if (code >= '0' && code <= '9') refuse("a reference to a group");
      return code;
  }
}

CharacterSet RegexParser::category(bool inverted) {
  expect('{');
  if (skip("^")) inverted = !inverted;
  const std::size_t end = std::min(text_.find('}', at_), text_.size());
  const std::string_view name = text_.substr(at_, end - at_);
  at_ = end;
  expect('}');
  const auto* found = std::find_if(std::begin(kCategories), std::end(kCategories),
                                   [&](const Named& named) { return named.name == name; });
  if (found == std::end(kCategories)) refuse("an unknown property");
  CharacterSet set;
  set.add_categories(found->mask);
  if (inverted) set.invert();
  return set;
}

CharacterSet RegexParser::bracket(bool ignore_case) {
  if (++depth_ > kMaxDepth) refuse("sets nested too deeply");
  CharacterSet set;
  std::vector<CharacterSet> sets;  // of an intersection, those before the last
  const bool inverted = skip("^");
  bool first = true;
  while (first || peek() != ']') {
    if (done()) refuse("a [ without ]");
    if (skip("&&")) {
      sets.push_back(std::exchange(set, {}));
      continue;
    }
    first = false;
    if (skip("[")) {
      set.add(bracket(ignore_case));
      continue;
    }
    if (skip("\\")) {
      if (const auto found = escaped_set()) {
        if (is_range()) refuse("a range from a set");
        set.add(*found);
        continue;
      }
      --at_;
    }
    const char32_t low = bracket_code();
    char32_t high = low;
    if (is_range()) {
      skip("-");
      high = bracket_code();
      if (high < low) refuse("a range of characters from high to low");
    }
    set.add_range(low, high);
    for (char32_t code = low; ignore_case && code <= high && code < 0x80; ++code) {
      set.add(either_case(code));
    }
  }
  expect(']');
  --depth_;
  for (const CharacterSet& other : sets) set.limit_to(other);
  if (inverted) set.invert();
  return set;
}

// Whether a character of a bracket is the first of a range.
bool RegexParser::is_range() const {
  return peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']';
}

char32_t RegexParser::bracket_code() { return skip("\\") ? escaped_code() : next(); }

char32_t RegexParser::code_of_hex(std::size_t digits) {
  char32_t value = 0;
  std::size_t found = 0;
  for (; found < digits && !done(); ++found) {
    const char c = peek();
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) break;
    value = value << 4 | static_cast<char32_t>(digit);
    ++at_;
    if (value > kLastCode) refuse("a character beyond Unicode");
  }
  if (found == 0) refuse("an escape without digits");
  return value;
}

bool RegexParser::skip(std::string_view what) {
  if (text_.substr(at_, what.size()) != what) return false;
  at_ += what.size();
  return true;
}

void RegexParser::expect(char what) {
  if (done() || peek() != what) refuse(std::string("no ") + what);
  ++at_;
}

char32_t RegexParser::next() {
  if (done()) refuse("an unfinished end");
  const Character c = character_at(text_, at_);
  at_ += c.bytes;
  return c.code;
}

std::uint32_t RegexParser::number() {
  std::uint32_t value = 0;
  if (peek() < '0' || peek() > '9') refuse("no number");
  while (peek() >= '0' && peek() <= '9') {
    value = value * 10 + static_cast<std::uint32_t>(peek() - '0');
    if (value > 100000) refuse("a number too large");
    ++at_;
  }
  return value;
}

void RegexParser::refuse(const std::string& what) const {
  throw std::invalid_argument("the expression has " + what + " at byte " + std::to_string(at_));
}

Regex::Regex(std::string_view expression) : alternatives_(RegexParser(expression).parse()) {}

}  // namespace ggmlkit::text
