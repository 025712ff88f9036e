// Many sequences of tokens on one model: they share the weights, the pages of keys and values, and
// the passes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "core/fair_mutex.h"
#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "engine/decoder.h"
#include "engine/kv_pool.h"
#include "engine/prefix_tree.h"
#include "engine/weights.h"

namespace ggmlkit::engine {

// Which tokens of a chunk give logits.
enum class LogitsOf : std::int8_t { none, last, all };

// The tokens so far, and where their keys and values are. One call at a time works on it: others
// wait for it.
class Sequence {
 public:
  const std::vector<std::int32_t>& tokens() const { return tokens_; }

 private:
  friend class Engine;
  PageTable pages_;
  PrefixTree::Node* node_ = nullptr;  // of its last full page; null where none are kept
  std::vector<std::int32_t> tokens_;
  std::shared_ptr<const Adapter> adapter_;
  bool is_busy_ = false;  // a call works on it; guarded by the engine
};

// The pages of all sequences do not suffice.
class OutOfPages : public std::runtime_error {
 public:
  OutOfPages(std::size_t needed, std::size_t free, std::size_t total);
};

// A step was given up between two passes.
class Interrupted : public std::exception {};

class Engine {
 public:
  struct Settings {
    std::size_t context;    // positions of a sequence at most
    std::size_t positions;  // of all sequences together
    KvTypes kv_types;
    TwoParts two_parts;
    int threads;
    bool keeps_prefixes;  // pages outlast their sequences, for others that begin alike
  };
  // Tokens to append to a sequence.
  struct Piece {
    Sequence* sequence;
    const std::int32_t* tokens;
    std::size_t n;
    LogitsOf logits;

    std::size_t rows() const {
      return logits == LogitsOf::none ? 0 : logits == LogitsOf::last ? 1 : n;
    }
  };

  // The weights must outlive this.
  Engine(const Weights& weights, const Settings& settings);

  // A sequence that holds the beginning of `tokens`, as far as its pages are known; the last token
  // never is. `adapter` may be null.
  std::unique_ptr<Sequence> start(std::shared_ptr<const Adapter> adapter,
                                  const std::vector<std::int32_t>& tokens);
  // The same tokens; they share pages until one of them goes on.
  std::unique_ptr<Sequence> fork(Sequence& sequence);
  // Forgets tokens from `length` on; returns how many are left. Where layers with a window have
  // given pages back that the rest needs, none are left.
  std::size_t truncate(Sequence& sequence, std::size_t length);
  std::size_t length(Sequence& sequence);
  // A copy of its tokens.
  std::vector<std::int32_t> tokens(Sequence& sequence);

  // What a step gives, and what may watch it.
  struct Results {
    float* logits = nullptr;            // [rows of all pieces][vocab]; null: not wanted
    float* hidden = nullptr;            // [rows of all pieces][dim]; null: not wanted
    Observer observer;                  // may be empty
    std::function<bool()> interrupted;  // asked between two passes; true: stop
    std::function<bool()> failed;       // asked after each pass, of the observer; true: stop
  };

  // Appends to each piece's sequence, and fills the results. The pieces'
  // sequences differ, each has a token at least, below the vocabulary's size. Of several threads
  // that call, each computes a pass of at most kMaxTokens tokens in turn. A step that throws leaves
  // the sequences as they were; but where windowed pages went back meanwhile, an interrupted
  // sequence is empty.
  void step(const std::vector<Piece>& pieces, const Results& results);

  // The full pages of a sequence, as bytes that `load` takes; of windowed layers, those that it
  // still has.
  std::vector<std::byte> save(Sequence& sequence);
  // A sequence of saved tokens, whole pages of them. Throws std::invalid_argument where the bytes
  // are more or fewer than those of such pages, OutOfPages where there is no room.
  std::unique_ptr<Sequence> load(std::shared_ptr<const Adapter> adapter,
                                 const std::vector<std::int32_t>& tokens, std::size_t window_begin,
                                 const std::byte* bytes, std::size_t size);
  std::size_t window_begin(Sequence& sequence);

  std::size_t context() const { return context_; }
  std::size_t positions() const { return pool_.total_pages() * kPage; }
  // Those that no sequence holds.
  std::size_t free_positions();
  const Config& config() const { return decoder_.config(); }
  std::size_t nbytes();
  // Gives a sequence's pages back; it is not used after.
  void end(Sequence& sequence);

 private:
  // Keeps sequences to one call, once the calls before are done with them.
  class Use {
   public:
    Use(Engine& engine, std::vector<Sequence*> sequences);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Engine& engine_;
    std::vector<Sequence*> sequences_;
  };
  struct Progress {
    std::size_t piece = 0;
    std::size_t done = 0;  // of its tokens
  };
  void check_room(std::size_t n, std::size_t held) const;
  void take_pages(const std::vector<Piece>& pieces);
  void make_room(const std::function<std::size_t()>& needed);
  void fill_pass(const std::vector<Piece>& pieces, Progress& at);
  void append_pass();
  void compute(const std::vector<Piece>& pieces, const Results& results);
  std::size_t truncate_in_use(Sequence& sequence, std::size_t length);

  std::size_t context_;
  bool keeps_prefixes_;
  KvPool pool_;
  PrefixTree prefixes_;
  std::mutex uses_;  // guards which sequences are busy
  std::condition_variable use_ended_;
  std::mutex pages_;  // guards which pages are whose; not held while a pass is computed
  FairMutex turn_;    // guards the decoder's scratch memory, and the pass:
  Decoder decoder_;
  Pass pass_;
  std::vector<std::int32_t> pass_tokens_;
  std::vector<Sequence*> pass_sequences_;  // of its chunks
  Wanted wanted_;
};

}  // namespace ggmlkit::engine
