#include "bindings/bindings.h"

#include <pybind11/stl.h>

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "engine/adapter.h"
#include "engine/decoder.h"
#include "engine/weights.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using engine::Adapter;
using engine::Config;
using engine::Decoder;
using engine::Gate;
using engine::RopeConfig;
using engine::RopePairs;
using engine::RopeScaling;
using engine::Weights;
using TokenArray = py::array_t<std::int32_t, py::array::c_style>;
using SequenceArray = py::array_t<std::uint64_t, py::array::c_style>;

RopeScaling scaling_named(const std::string& name) {
  if (name == "none") return RopeScaling::none;
  if (name == "linear") return RopeScaling::linear;
  if (name == "yarn") return RopeScaling::yarn;
  throw py::value_error("no RoPE scaling is called " + name);
}

RopePairs pairs_named(const std::string& name) {
  if (name == "neighbours") return RopePairs::neighbours;
  if (name == "halves") return RopePairs::halves;
  throw py::value_error("no RoPE pairs are called " + name);
}

Gate gate_named(const std::string& name) {
  if (name == "silu") return Gate::silu;
  if (name == "gelu") return Gate::gelu;
  throw py::value_error("no gate is called " + name);
}

RopeConfig rope_from(const py::dict& d) {
  const auto number = [&](const char* key) { return d[key].cast<float>(); };
  RopeConfig rope;
  rope.dims = d["dims"].cast<std::size_t>();
  rope.pairs = pairs_named(d["pairs"].cast<std::string>());
  rope.base = number("base");
  rope.scaling = scaling_named(d["scaling"].cast<std::string>());
  rope.factor = number("factor");
  rope.original_context = number("original_context");
  rope.attention_factor = number("attention_factor");
  rope.beta_fast = number("beta_fast");
  rope.beta_slow = number("beta_slow");
  rope.freq_factors = d["freq_factors"].cast<std::vector<float>>();
  rope.long_freq_factors = d["long_freq_factors"].cast<std::vector<float>>();
  return rope;
}

Config config_from(const py::dict& d) {
  const auto size = [&](const char* key) { return d[key].cast<std::size_t>(); };
  const auto number = [&](const char* key) { return d[key].cast<float>(); };
  Config c;
  c.layers = size("layers");
  c.dim = size("dim");
  c.heads = size("heads");
  c.kv_heads = size("kv_heads");
  c.head_dim = size("head_dim");
  c.ffn = size("ffn");
  c.vocab = size("vocab");
  c.norm_eps = number("norm_eps");
  c.rope = rope_from(d["rope"]);
  if (!d["sliding_rope"].is_none()) c.sliding_rope = rope_from(d["sliding_rope"]);
  c.gate = gate_named(d["gate"].cast<std::string>());
  c.embedding_scale = number("embedding_scale");
  c.query_scale = number("query_scale");
  c.attn_softcap = number("attn_softcap");
  c.final_softcap = number("final_softcap");
  c.has_head_norms = d["has_head_norms"].cast<bool>();
  c.has_post_norms = d["has_post_norms"].cast<bool>();
  c.windows = d["windows"].cast<std::vector<std::size_t>>();
  return c;
}

// A model and its sequences of tokens. Calls from several Python threads take turns.
class Session {
 public:
  Session(const py::dict& config, int threads, bool repack)
      : weights_(config_from(config), repack ? Packing::at_load : Packing::at_use),
        adapter_(weights_.config()),
        threads_(threads) {}

  // Returns whether `data` will be copied, by `pack` or `start`: its pages are not needed after.
  bool set_matrix(const std::string& name, std::size_t type_index, std::size_t rows,
                  std::size_t cols, const ByteArray& data) {
    const Type type = type_at(type_index);
    check_size(type, rows, cols, data);
    if (decoder_) throw py::value_error("the model is already loaded");
    weights_.set_matrix(name, type, rows, cols, bytes_of(data));
    const bool keeps = weights_.keeps_data(name);
    (keeps ? kept_ : unpacked_).push_back(data);
    return !keeps;
  }

  // Packs the matrices set so far. Many at once take less time than each alone.
  void pack() {
    {
      py::gil_scoped_release release;
      weights_.pack(ThreadPool::shared(), threads_);
    }
    unpacked_.clear();
  }

  void set_vector(const std::string& name, const FloatArray& data) {
    weights_.set_vector(name, data.data(), static_cast<std::size_t>(data.size()));
  }

  // The adapters' update of a matrix, B·A: A as (rank, columns), B as (rank, rows). Copied.
  void set_adapter_update(const std::string& name, const FloatArray& a, const FloatArray& b) {
    if (decoder_) throw py::value_error("the model is already loaded");
    if (a.ndim() != 2 || b.ndim() != 2 || a.shape(0) != b.shape(0)) {
      throw py::value_error("an adapter update takes two matrices of as many rows as its rank");
    }
    const auto size = [](const FloatArray& x, int axis) {
      return static_cast<std::size_t>(x.shape(axis));
    };
    adapter_.set(name, size(a, 0), size(b, 1), size(a, 1), a.data(), b.data());
  }

  void start(std::size_t context, std::size_t sequences, const std::string& kv_type,
             int activation_bits) {
    if (context == 0) throw py::value_error("a context needs room for a token");
    if (sequences == 0) throw py::value_error("there must be a sequence");
    if (activation_bits != 8 && activation_bits != 16) {
      throw py::value_error("activations have 8 or 16 bits");
    }
    const KvType type = kv_type_named(kv_type);
    {
      py::gil_scoped_release release;
      ThreadPool& pool = ThreadPool::shared();
      weights_.finish(pool, threads_);
      const int threads = threads_ > 0 ? std::min(threads_, pool.size()) : pool.size();
      const engine::TwoParts& parts =
          activation_bits == 16 ? engine::kAllBlocks : engine::kCoarseBlocks;
      decoder_.emplace(weights_, adapter_, context, sequences, type, parts, threads);
      tokens_.resize(sequences);
    }
    unpacked_.clear();
  }

  // Appends tokens to a sequence, filling `out`: float32 (vocab,) or, for `all`, (n, vocab). On
  // KeyboardInterrupt between two chunks the sequence is as it was before.
  void eval(std::size_t sequence, const TokenArray& tokens, FloatArray out, bool all) {
    Decoder& decoder = started();
    check_sequence(sequence);
    const auto n = static_cast<std::size_t>(tokens.size());
    const std::size_t vocab = decoder.config().vocab;
    check_tokens(tokens);
    check_logits(out, all ? n : 1);
    const std::int32_t* ids = tokens.data();
    float* logits = out.mutable_data();
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> turn(mutex_);
    const std::size_t begin = decoder.position(sequence);
    if (n == 0) throw py::value_error("there are no tokens to append");
    check_room(sequence, n);
    std::vector<std::int32_t>& held = tokens_[sequence];
    held.insert(held.end(), ids, ids + n);
    for (std::size_t i = 0; i < n; i += engine::kMaxTokens) {
      const std::size_t count = std::min(engine::kMaxTokens, n - i);
      float* at = all ? logits + i * vocab : i + count == n ? logits : nullptr;
      decoder.forward(sequence, ids + i, count, at, all, ThreadPool::shared());
      if (interrupted()) {
        truncate_to(sequence, begin);
        throw_interrupt();
      }
    }
  }

  // Appends one token to each of different sequences, filling `out`: float32 (n, vocab).
  void eval_each(const SequenceArray& sequences, const TokenArray& tokens, FloatArray out) {
    Decoder& decoder = started();
    const auto n = static_cast<std::size_t>(tokens.size());
    if (n != static_cast<std::size_t>(sequences.size())) {
      throw py::value_error("each sequence takes one token");
    }
    check_tokens(tokens);
    check_logits(out, n);
    const std::vector<std::size_t> places(sequences.data(), sequences.data() + n);
    check_distinct(places);
    const std::int32_t* ids = tokens.data();
    float* logits = out.mutable_data();
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> turn(mutex_);
    for (const std::size_t s : places) check_room(s, 1);
    for (std::size_t i = 0; i < n; i += engine::kMaxTokens) {
      const std::size_t count = std::min(engine::kMaxTokens, n - i);
      decoder.forward_each(places.data() + i, ids + i, count, logits + i * decoder.config().vocab,
                           ThreadPool::shared());
    }
    for (std::size_t i = 0; i < n; ++i) tokens_[places[i]].push_back(ids[i]);
  }

  void truncate(std::size_t sequence, std::size_t position) {
    started();
    check_sequence(sequence);
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> turn(mutex_);
    truncate_to(sequence, position);
  }

  // What a sequence holds.
  TokenArray tokens(std::size_t sequence) {
    started();
    check_sequence(sequence);
    std::vector<std::int32_t> held;
    {
      py::gil_scoped_release release;
      const std::lock_guard<std::mutex> turn(mutex_);
      held = tokens_[sequence];
    }
    return TokenArray(static_cast<py::ssize_t>(held.size()), held.data());
  }

  std::size_t sequences() { return started().sequences(); }
  std::size_t context() { return started().context(); }
  std::size_t nbytes() { return weights_.nbytes() + adapter_.nbytes() + started().nbytes(); }
  int lock() { return weights_.lock(); }

 private:
  Decoder& started() {
    if (!decoder_) throw py::value_error("the model is not loaded yet");
    return *decoder_;
  }

  void check_sequence(std::size_t sequence) {
    const std::size_t count = started().sequences();
    if (sequence >= count) {
      throw py::value_error("there is no sequence " + std::to_string(sequence) + " of " +
                            std::to_string(count));
    }
  }

  void check_distinct(const std::vector<std::size_t>& sequences) {
    std::vector<bool> seen(started().sequences());
    for (const std::size_t s : sequences) {
      check_sequence(s);
      if (seen[s]) throw py::value_error("sequence " + std::to_string(s) + " is named twice");
      seen[s] = true;
    }
  }

  void check_tokens(const TokenArray& tokens) {
    const std::size_t vocab = started().config().vocab;
    const std::int32_t* ids = tokens.data();
    for (py::ssize_t i = 0; i < tokens.size(); ++i) {
      if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= vocab) {
        throw py::value_error("token " + std::to_string(ids[i]) + " is not in a vocabulary of " +
                              std::to_string(vocab));
      }
    }
  }

  void check_logits(const FloatArray& out, std::size_t rows) {
    if (static_cast<std::size_t>(out.size()) != rows * started().config().vocab) {
      throw py::value_error("out does not fit the logits");
    }
  }

  void check_room(std::size_t sequence, std::size_t n) {
    const std::size_t held = started().position(sequence);
    const std::size_t context = started().context();
    if (n > context - held) {
      throw py::value_error(std::to_string(n) + " tokens do not fit: the context of " +
                            std::to_string(context) + " holds " + std::to_string(held) +
                            " already");
    }
  }

  void truncate_to(std::size_t sequence, std::size_t position) {
    started().truncate(sequence, position);
    tokens_[sequence].resize(started().position(sequence));
  }

  static bool interrupted() {
    const py::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() != 0;
  }

  static void throw_interrupt() {
    const py::gil_scoped_acquire acquire;
    throw py::error_already_set();
  }

  Weights weights_;
  Adapter adapter_;
  int threads_;
  std::vector<ByteArray> kept_;
  std::vector<ByteArray> unpacked_;
  std::optional<Decoder> decoder_;
  std::vector<std::vector<std::int32_t>> tokens_;  // of each sequence
  std::mutex mutex_;
};

}  // namespace

void bind_session(py::module_& m) {
  py::class_<Session>(m, "LlamaSession")
      .def(py::init<const py::dict&, int, bool>(), py::arg("config"), py::arg("threads"),
           py::arg("repack"))
      .def("set_matrix", &Session::set_matrix, py::arg("name"), py::arg("type"), py::arg("rows"),
           py::arg("cols"), py::arg("data").noconvert())
      .def("pack", &Session::pack)
      .def("set_vector", &Session::set_vector, py::arg("name"), py::arg("data"))
      .def("set_adapter_update", &Session::set_adapter_update, py::arg("name"), py::arg("a"),
           py::arg("b"))
      .def("start", &Session::start, py::arg("context"), py::arg("sequences"), py::arg("kv_type"),
           py::arg("activation_bits"))
      .def("eval", &Session::eval, py::arg("sequence"), py::arg("tokens"),
           py::arg("out").noconvert(), py::arg("all"))
      .def("eval_each", &Session::eval_each, py::arg("sequences"), py::arg("tokens"),
           py::arg("out").noconvert())
      .def("truncate", &Session::truncate, py::arg("sequence"), py::arg("position"))
      .def("tokens", &Session::tokens, py::arg("sequence"))
      .def("lock", &Session::lock)
      .def_property_readonly("sequences", &Session::sequences)
      .def_property_readonly("context", &Session::context)
      .def_property_readonly("nbytes", &Session::nbytes);
}

}  // namespace ggmlkit
