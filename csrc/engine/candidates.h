// The tokens that may be drawn, and the steps that leave some of them out.
//
// They begin as a whole vocabulary, which is not listed, let alone sorted, before a step needs it:
// most steps leave out nearly all tokens at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace ggmlkit::engine {

struct Candidate {
  double logit;
  std::int32_t token;
};

class Candidates {
 public:
  // All tokens whose value is not -infinity. `values` may change later only by this class, and must
  // live as long. No step leaves fewer than `min_keep`.
  void begin(std::vector<float>& values, std::size_t min_keep);

  // Whether there is a token at all. Without, nothing else may be asked.
  bool has_any() const { return highest_ != -std::numeric_limits<double>::infinity(); }

  // The likeliest; the first of equals.
  std::int32_t best() const;

  // The k likeliest; 0: all.
  void keep_top_k(std::size_t k);
  // The likeliest that together have probability p: to the one that reaches it.
  void keep_top_p(float p);
  // Those at least `share` as likely as the likeliest.
  void keep_min_p(float share);
  // Those whose logit is at most n standard deviations of all logits below the highest.
  void keep_top_n_sigma(float n);
  // Those whose surprise is nearest to its mean (the entropy), that together have probability p.
  void keep_typical(float p);
  // Leaves out all with a probability of at least `threshold` but the least likely of them.
  void leave_out_top_choices(float threshold);
  // Those whose surprise, in bits, is at most `bits`.
  void keep_surprise_below(double bits);

  void divide(double temperature);
  // The entropy of the probabilities, as a share of the most it could be: that of equal ones.
  double entropy_share();

  // Changes the logits of tokens: change(token, logit) for each there may be a change of.
  template <class Change>
  void change(const std::vector<std::int32_t>& tokens, Change change);

  // Of the listed tokens, likeliest first.
  const std::vector<Candidate>& sorted();
  // Their probabilities, in the same order.
  std::vector<double> probabilities();
  // The token at u, in [0, 1), of their probabilities one after another.
  std::size_t place_at(double u);
  const Candidate& operator[](std::size_t place) const { return items_[place]; }

 private:
  std::size_t size() const { return is_listed_ ? items_.size() : values_->size(); }
  std::size_t at_least(std::size_t n) const;
  double weight(const Candidate& c) const;
  std::vector<double> weights() const;  // of the listed tokens
  void list();
  void list_from(double floor);
  void list_top_k(std::size_t k);
  void list_top_p(float p);
  void keep_from(double floor);
  void find_highest();

  std::vector<float>* values_ = nullptr;
  std::size_t min_keep_ = 1;
  double highest_ = 0;  // logit
  bool is_listed_ = false;
  bool is_sorted_ = false;
  std::vector<Candidate> items_;
  std::vector<float> weights_;  // e^(value - highest), where all are summed
};

template <class Change>
void Candidates::change(const std::vector<std::int32_t>& tokens, Change change) {
  if (tokens.empty()) return;
  if (!is_listed_) {
    for (const std::int32_t token : tokens) {
      if (token < 0 || static_cast<std::size_t>(token) >= values_->size()) continue;
      float& value = (*values_)[static_cast<std::size_t>(token)];
      value = static_cast<float>(change(token, static_cast<double>(value)));
    }
  } else {
    for (Candidate& c : items_) {
      for (const std::int32_t token : tokens) {
        if (token == c.token) c.logit = change(token, c.logit);
      }
    }
    is_sorted_ = false;
  }
  find_highest();
}

}  // namespace ggmlkit::engine
