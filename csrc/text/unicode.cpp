#include "text/unicode.h"

#include <iterator>
#include <vector>

#include "text/unicode_categories.h"

namespace ggmlkit::text {
namespace {

constexpr char32_t kCodes = 0x110000;

std::vector<Category> expanded_runs() {
  std::vector<Category> categories(kCodes);
  for (std::size_t i = 0; i < std::size(kCategoryRuns); ++i) {
    const std::size_t end = i + 1 < std::size(kCategoryRuns) ? kCategoryRuns[i + 1] >> 5 : kCodes;
    for (std::size_t code = kCategoryRuns[i] >> 5; code < end; ++code) {
      categories[code] = static_cast<Category>(kCategoryRuns[i] & 31);
    }
  }
  return categories;
}

}  // namespace

Category category_of(char32_t code) {
  static const std::vector<Category> categories = expanded_runs();
  return code < kCodes ? categories[code] : Category::Cn;
}

bool is_white_space(char32_t code) {
  constexpr std::uint32_t separators = mask_of(Category::Zs, Category::Zl, Category::Zp);
  if (code < 0x80) return code == ' ' || (code >= '\t' && code <= '\r');
  return code == 0x85 || (mask_of(category_of(code)) & separators) != 0;
}

bool is_word(char32_t code) {
  using C = Category;
  constexpr std::uint32_t word =
      mask_of(C::Lu, C::Ll, C::Lt, C::Lm, C::Lo, C::Mn, C::Mc, C::Me, C::Nd, C::Nl, C::Pc);
  const bool circled_letter =
      (code >= 0x24B6 && code <= 0x24E9) || (code >= 0x1F130 && code <= 0x1F149) ||
      (code >= 0x1F150 && code <= 0x1F169) || (code >= 0x1F170 && code <= 0x1F189);
  const bool joiner = code == 0x200C || code == 0x200D;
  return (mask_of(category_of(code)) & word) != 0 || circled_letter || joiner;
}

}  // namespace ggmlkit::text
