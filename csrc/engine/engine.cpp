#include "engine/engine.h"

#include <algorithm>
#include <string>
#include <utility>

namespace ggmlkit::engine {
namespace {

std::string full_message(std::size_t needed, std::size_t free, std::size_t total) {
  return "the key-value cache is full: " + std::to_string(needed * kPage) +
         " more positions are needed, " + std::to_string(free * kPage) + " of " +
         std::to_string(total * kPage) + " are free";
}

}  // namespace

OutOfPages::OutOfPages(std::size_t needed, std::size_t free, std::size_t total)
    : std::runtime_error(full_message(needed, free, total)) {}

Engine::Engine(const Weights& weights, const Settings& settings)
    : context_(settings.context),
      keeps_prefixes_(settings.keeps_prefixes),
      pool_(weights.config(), settings.kv_types, settings.positions),
      prefixes_(pool_),
      decoder_(weights, pool_, settings.context, std::min(kMaxTokens, settings.positions),
               settings.two_parts, settings.threads) {}

// All at once or none, so that two calls never wait for each other.
Engine::Use::Use(Engine& engine, std::vector<Sequence*> sequences)
    : engine_(engine), sequences_(std::move(sequences)) {
  std::unique_lock<std::mutex> lock(engine_.uses_);
  const auto is_busy = [](const Sequence* sequence) { return sequence->is_busy_; };
  engine_.use_ended_.wait(
      lock, [&] { return std::none_of(sequences_.begin(), sequences_.end(), is_busy); });
  for (Sequence* sequence : sequences_) sequence->is_busy_ = true;
}

Engine::Use::~Use() {
  {
    const std::lock_guard<std::mutex> lock(engine_.uses_);
    for (Sequence* sequence : sequences_) sequence->is_busy_ = false;
  }
  engine_.use_ended_.notify_all();
}

std::unique_ptr<Sequence> Engine::start(std::shared_ptr<const Adapter> adapter,
                                        const std::vector<std::int32_t>& tokens) {
  auto sequence = std::make_unique<Sequence>();
  sequence->adapter_ = std::move(adapter);
  if (!keeps_prefixes_) return sequence;
  const std::uint64_t id = sequence->adapter_ ? sequence->adapter_->id() : 0;
  const std::lock_guard<std::mutex> pages(pages_);
  sequence->node_ = prefixes_.find(id, tokens, sequence->pages_);
  const auto length = static_cast<std::ptrdiff_t>(sequence->pages_.length);
  sequence->tokens_.assign(tokens.begin(), tokens.begin() + length);
  return sequence;
}

std::unique_ptr<Sequence> Engine::fork(Sequence& sequence) {
  auto copy = std::make_unique<Sequence>();
  const Use use(*this, {&sequence});
  const std::lock_guard<std::mutex> pages(pages_);
  copy->pages_ = pool_.fork(sequence.pages_);
  copy->node_ = sequence.node_;
  if (copy->node_ != nullptr) prefixes_.use(copy->node_);
  copy->tokens_ = sequence.tokens_;
  copy->adapter_ = sequence.adapter_;
  return copy;
}

std::size_t Engine::truncate(Sequence& sequence, std::size_t length) {
  const Use use(*this, {&sequence});
  return truncate_in_use(sequence, length);
}

std::size_t Engine::truncate_in_use(Sequence& sequence, std::size_t length) {
  const std::lock_guard<std::mutex> pages(pages_);
  pool_.truncate(sequence.pages_, length);
  sequence.tokens_.resize(sequence.pages_.length);
  if (sequence.node_ != nullptr) {
    sequence.node_ = prefixes_.back(sequence.node_, sequence.pages_.length);
  }
  return sequence.pages_.length;
}

std::size_t Engine::length(Sequence& sequence) {
  const Use use(*this, {&sequence});
  return sequence.tokens_.size();
}

std::vector<std::int32_t> Engine::tokens(Sequence& sequence) {
  const Use use(*this, {&sequence});
  return sequence.tokens_;
}

std::size_t Engine::free_positions() {
  const std::lock_guard<std::mutex> pages(pages_);
  return (pool_.free_pages() + prefixes_.evictable()) * kPage;
}

std::size_t Engine::nbytes() {
  const std::lock_guard<FairMutex> turn(turn_);
  const std::lock_guard<std::mutex> pages(pages_);
  return pool_.nbytes() + decoder_.nbytes();
}

void Engine::end(Sequence& sequence) { truncate(sequence, 0); }

void Engine::take_pages(const std::vector<Piece>& pieces) {
  std::vector<Growth> growths;
  growths.reserve(pieces.size());
  for (const Piece& piece : pieces) growths.push_back({&piece.sequence->pages_, piece.n});
  const std::lock_guard<std::mutex> pages(pages_);
  make_room([&] { return pool_.lacking(growths); });
  pool_.extend(growths);
}

// Gives back pages that no sequence has, as far as they are needed. A page that only one sequence
// has after that needs no copy, so what is needed is asked each time.
void Engine::make_room(const std::function<std::size_t()>& needed) {
  while (needed() > pool_.free_pages()) {
    if (!prefixes_.evict()) throw OutOfPages(needed(), pool_.free_pages(), pool_.total_pages());
  }
}

void Engine::step(const std::vector<Piece>& pieces, const Results& results) {
  std::vector<Sequence*> sequences;
  sequences.reserve(pieces.size());
  for (const Piece& piece : pieces) sequences.push_back(piece.sequence);
  const Use use(*this, std::move(sequences));

  std::vector<std::size_t> lengths;
  lengths.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    lengths.push_back(piece.sequence->tokens_.size());
    check_room(piece.n, lengths.back());
  }
  take_pages(pieces);
  try {
    compute(pieces, results);
  } catch (...) {
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      truncate_in_use(*pieces[i].sequence, lengths[i]);
    }
    throw;
  }
}

// All passes of a step.
void Engine::compute(const std::vector<Piece>& pieces, const Results& results) {
  std::size_t rows = 0;
  for (Progress at; at.piece < pieces.size();) {
    {
      const std::lock_guard<FairMutex> turn(turn_);
      fill_pass(pieces, at);
      wanted_.logits = results.logits != nullptr ? results.logits + rows * config().vocab : nullptr;
      wanted_.hidden = results.hidden != nullptr ? results.hidden + rows * config().dim : nullptr;
      decoder_.forward(pass_, wanted_, ThreadPool::shared(), results.observer);
      append_pass();
      rows += wanted_.rows.size();
    }
    const bool is_end = at.piece == pieces.size();
    if ((results.failed && results.failed()) ||
        (!is_end && results.interrupted && results.interrupted())) {
      throw Interrupted();
    }
  }
}

std::vector<std::byte> Engine::save(Sequence& sequence) {
  const Use use(*this, {&sequence});
  return pool_.bytes_of(sequence.pages_);
}

std::size_t Engine::window_begin(Sequence& sequence) {
  const Use use(*this, {&sequence});
  return sequence.pages_.window_begin;
}

std::unique_ptr<Sequence> Engine::load(std::shared_ptr<const Adapter> adapter,
                                       const std::vector<std::int32_t>& tokens,
                                       std::size_t window_begin, const std::byte* bytes,
                                       std::size_t size) {
  if (tokens.size() % kPage != 0 || tokens.size() > context_ || window_begin % kPage != 0 ||
      window_begin > tokens.size() || (window_begin != 0 && !pool_.has_windows()) ||
      size != pool_.saved_bytes(tokens.size(), window_begin)) {
    throw std::invalid_argument("the bytes are not those of such a sequence");
  }
  auto sequence = start(std::move(adapter), {});
  const std::lock_guard<std::mutex> pages(pages_);
  make_room([&] { return pages_for(tokens.size()); });
  pool_.restore(sequence->pages_, tokens.size(), window_begin, bytes);
  sequence->tokens_ = tokens;
  // Pages that lack a window can't begin another sequence.
  if (window_begin != 0) sequence->node_ = nullptr;
  return sequence;
}

void Engine::check_room(std::size_t n, std::size_t held) const {
  if (n <= context_ - held) return;
  throw std::length_error(std::to_string(n) + " tokens do not fit: the context of " +
                          std::to_string(context_) + " holds " + std::to_string(held) + " already");
}

// The next tokens of the pieces, as many as a pass takes.
void Engine::fill_pass(const std::vector<Piece>& pieces, Progress& at) {
  pass_.clear();
  pass_tokens_.clear();
  pass_sequences_.clear();
  wanted_.rows.clear();
  while (at.piece < pieces.size() && pass_.n < decoder_.max_tokens()) {
    const Piece& p = pieces[at.piece];
    const std::size_t row = pass_.n;
    const std::size_t n = std::min(p.n - at.done, decoder_.max_tokens() - row);
    const PageTable& table = p.sequence->pages_;
    pass_.append({&table, table.length, n, row, row}, p.sequence->adapter_.get());
    pass_tokens_.insert(pass_tokens_.end(), p.tokens + at.done, p.tokens + at.done + n);
    pass_sequences_.push_back(p.sequence);
    at.done += n;
    const bool is_end = at.done == p.n;
    std::size_t first = row + n;
    if (p.logits == LogitsOf::all) first = row;
    if (p.logits == LogitsOf::last && is_end) first = row + n - 1;
    for (std::size_t r = first; r < row + n; ++r) wanted_.rows.push_back(r);
    if (is_end) at = {at.piece + 1, 0};
  }
  pass_.tokens = pass_tokens_.data();
}

// The tokens of the pass, to their sequences.
void Engine::append_pass() {
  const std::lock_guard<std::mutex> pages(pages_);
  for (std::size_t i = 0; i < pass_.chunks.size(); ++i) {
    const Chunk& chunk = pass_.chunks[i];
    Sequence& sequence = *pass_sequences_[i];
    const std::int32_t* tokens = pass_.tokens + chunk.row;
    sequence.tokens_.insert(sequence.tokens_.end(), tokens, tokens + chunk.tokens);
    sequence.pages_.length += chunk.tokens;
    if (sequence.node_ != nullptr) {
      sequence.node_ = prefixes_.follow(sequence.node_, sequence.tokens_, sequence.pages_);
    }
    pool_.release_behind_window(sequence.pages_);
  }
}

}  // namespace ggmlkit::engine
