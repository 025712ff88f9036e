#include "engine/candidates.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/highest.h"
#include "kernels/kernel_table.h"

namespace ggmlkit::engine {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// How far below the likeliest the search for the top-p tokens goes at a time: a token there has
// 1/3000 of its weight.
constexpr double kSearchStep = 8.0;

bool likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

double sum_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// Of probabilities: the mean of their surprise.
double entropy_of(const std::vector<double>& shares) {
  double entropy = 0;
  for (const double share : shares) {
    if (share > 0) entropy -= share * std::log(share);
  }
  return entropy;
}

template <class Items>
auto place(Items& items, std::size_t i) {
  return items.begin() + static_cast<std::ptrdiff_t>(i);
}

}  // namespace

void Candidates::begin(std::vector<float>& values, std::size_t min_keep) {
  values_ = &values;
  min_keep_ = std::max<std::size_t>(1, min_keep);
  is_listed_ = is_sorted_ = false;
  items_.clear();
  find_highest();
}

std::int32_t Candidates::best() const {
  if (!is_listed_) {
    const auto first = std::find(values_->begin(), values_->end(), static_cast<float>(highest_));
    return static_cast<std::int32_t>(first - values_->begin());
  }
  return std::min_element(items_.begin(), items_.end(), likelier)->token;
}

void Candidates::keep_top_k(std::size_t k) {
  if (k == 0 || at_least(k) >= size()) return;
  k = at_least(k);
  if (!is_listed_) return list_top_k(k);
  if (!is_sorted_) std::nth_element(items_.begin(), place(items_, k - 1), items_.end(), likelier);
  items_.resize(k);
}

void Candidates::keep_top_p(float p) {
  if (p >= 1) return;
  if (!is_listed_) return list_top_p(p);
  sorted();
  const double total = sum_of(weights());
  std::size_t keep = 0;
  for (double sum = 0; keep < items_.size() && sum < p * total; ++keep) sum += weight(items_[keep]);
  items_.resize(std::min(items_.size(), at_least(keep)));
}

void Candidates::keep_min_p(float share) {
  if (share > 0) keep_from(highest_ + std::log(static_cast<double>(share)));
}

void Candidates::keep_top_n_sigma(float n) {
  if (n <= 0) return;
  double count = 0;
  double sum = 0;
  double squares = 0;
  const auto add = [&](double logit) {
    if (logit == kNever) return;
    const double v = logit - highest_;
    count += 1;
    sum += v;
    squares += v * v;
  };
  if (is_listed_) {
    for (const Candidate& c : items_) add(c.logit);
  } else {
    for (const float value : *values_) add(value);
  }
  const double mean = sum / count;
  const double deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
  keep_from(highest_ - n * deviation);
}

void Candidates::keep_typical(float p) {
  if (p >= 1) return;
  const std::vector<double> shares = probabilities();
  const double entropy = entropy_of(shares);
  struct Surprise {
    double distance;
    std::size_t place;
  };
  std::vector<Surprise> order;
  order.reserve(shares.size());
  for (std::size_t i = 0; i < shares.size(); ++i) {
    order.push_back({std::fabs(-std::log(shares[i]) - entropy), i});
  }
  std::sort(order.begin(), order.end(), [](const Surprise& a, const Surprise& b) {
    return a.distance < b.distance || (a.distance == b.distance && a.place < b.place);
  });
  std::size_t keep = 0;
  for (double sum = 0; keep < order.size() && sum < p; ++keep) sum += shares[order[keep].place];
  order.resize(std::min(order.size(), at_least(keep)));
  std::vector<Candidate> kept;
  kept.reserve(order.size());
  for (const Surprise& s : order) kept.push_back(items_[s.place]);
  items_ = std::move(kept);
  is_sorted_ = false;
  find_highest();
}

void Candidates::leave_out_top_choices(float threshold) {
  const std::vector<double> shares = probabilities();  // sorted
  std::size_t choices = 0;
  while (choices < shares.size() && shares[choices] >= threshold) ++choices;
  if (choices < 2) return;
  const std::size_t out = std::min(choices - 1, shares.size() - std::min(shares.size(), min_keep_));
  items_.erase(items_.begin(), place(items_, out));
  find_highest();
}

void Candidates::keep_surprise_below(double bits) {
  const std::vector<double> shares = probabilities();
  std::size_t keep = 1;
  while (keep < shares.size() && -std::log2(shares[keep]) <= bits) ++keep;
  items_.resize(keep);
}

void Candidates::divide(double temperature) {
  list();
  for (Candidate& c : items_) c.logit /= temperature;
  highest_ /= temperature;
}

double Candidates::entropy_share() {
  const std::vector<double> shares = probabilities();
  if (shares.size() < 2) return 0;
  return entropy_of(shares) / std::log(static_cast<double>(shares.size()));
}

const std::vector<Candidate>& Candidates::sorted() {
  list();
  if (!is_sorted_) std::sort(items_.begin(), items_.end(), likelier);
  is_sorted_ = true;
  return items_;
}

std::vector<double> Candidates::probabilities() {
  sorted();
  std::vector<double> shares = weights();
  const double total = sum_of(shares);
  for (double& share : shares) share /= total;
  return shares;
}

std::size_t Candidates::place_at(double u) {
  list();
  const std::vector<double> shares = weights();
  double left = u * sum_of(shares);
  for (std::size_t i = 0; i < shares.size(); ++i) {
    left -= shares[i];
    if (left < 0) return i;
  }
  return shares.size() - 1;
}

std::size_t Candidates::at_least(std::size_t n) const { return std::max(n, min_keep_); }

std::vector<double> Candidates::weights() const {
  std::vector<double> found;
  found.reserve(items_.size());
  for (const Candidate& c : items_) found.push_back(weight(c));
  return found;
}

double Candidates::weight(const Candidate& c) const { return std::exp(c.logit - highest_); }

void Candidates::list() {
  if (!is_listed_) list_from(std::numeric_limits<double>::lowest());
}

void Candidates::list_from(double floor) {
  items_.clear();
  is_listed_ = true;
  is_sorted_ = false;
  for (std::size_t i = 0; i < values_->size(); ++i) {
    const double value = (*values_)[i];
    if (value >= floor) items_.push_back({value, static_cast<std::int32_t>(i)});
  }
}

// In one pass: what is no likelier than the k found so far is passed over.
void Candidates::list_top_k(std::size_t k) {
  const auto keep_k = [&] {
    std::nth_element(items_.begin(), place(items_, k - 1), items_.end(), likelier);
    items_.resize(k);
  };
  is_listed_ = true;
  double floor = kNever;
  const std::size_t most = k + std::max<std::size_t>(k, 1024);
  for (std::size_t i = 0; i < values_->size(); ++i) {
    const double value = (*values_)[i];
    if (!(value > floor)) continue;
    items_.push_back({value, static_cast<std::int32_t>(i)});
    if (items_.size() < most) continue;
    keep_k();
    floor = items_[k - 1].logit;
  }
  if (items_.size() > k) keep_k();
  sorted();
}

// Without sorting what is left out.
void Candidates::list_top_p(float p) {
  weights_ = *values_;
  const double total =
      active().exp_and_sum(weights_.data(), weights_.size(), static_cast<float>(highest_));
  std::size_t keep = 0;
  for (double below = kSearchStep;; below *= 2) {
    list_from(below > 1e30 ? std::numeric_limits<double>::lowest() : highest_ - below);
    sorted();
    double sum = 0;
    for (keep = 0; keep < items_.size() && sum < p * total; ++keep) sum += weight(items_[keep]);
    const bool is_found = sum >= p * total && at_least(keep) <= items_.size();
    if (is_found || below > 1e30) break;
  }
  items_.resize(std::min(items_.size(), at_least(keep)));
}

void Candidates::keep_from(double floor) {
  if (min_keep_ > 1) {
    sorted();
    std::size_t keep = 0;
    while (keep < items_.size() && items_[keep].logit >= floor) ++keep;
    items_.resize(std::min(items_.size(), at_least(keep)));
  } else if (!is_listed_) {
    list_from(floor);
  } else {
    const auto is_below = [floor](const Candidate& c) { return c.logit < floor; };
    items_.erase(std::remove_if(items_.begin(), items_.end(), is_below), items_.end());
  }
}

void Candidates::find_highest() {
  highest_ = kNever;
  if (!is_listed_) {
    highest_ = highest(*values_);
  } else {
    for (const Candidate& c : items_) highest_ = std::max(highest_, c.logit);
  }
}

}  // namespace ggmlkit::engine
