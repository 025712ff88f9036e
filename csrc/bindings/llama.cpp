#include "bindings/bindings.h"

#include <pybind11/stl.h>

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "llama/decoder.h"
#include "llama/sampler.h"
#include "llama/weights.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using llama::Config;
using llama::Decoder;
using llama::RopeScaling;
using llama::Sampler;
using llama::SamplerConfig;
using llama::Weights;
using TokenArray = py::array_t<std::int32_t, py::array::c_style>;

RopeScaling scaling_named(const std::string& name) {
  if (name == "none") return RopeScaling::none;
  if (name == "linear") return RopeScaling::linear;
  if (name == "yarn") return RopeScaling::yarn;
  throw py::value_error("no RoPE scaling is called " + name);
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
  c.rope.dims = size("rope_dims");
  c.rope.base = number("rope_base");
  c.rope.scaling = scaling_named(d["rope_scaling"].cast<std::string>());
  c.rope.factor = number("rope_factor");
  c.rope.original_context = number("rope_original_context");
  c.rope.attention_factor = number("rope_attention_factor");
  c.rope.beta_fast = number("rope_beta_fast");
  c.rope.beta_slow = number("rope_beta_slow");
  c.rope.divisors = d["rope_divisors"].cast<std::vector<float>>();
  return c;
}

// A model in one context. Calls from several Python threads take turns.
class Session {
 public:
  Session(const py::dict& config, int threads) : weights_(config_from(config)), threads_(threads) {}

  void set_matrix(const std::string& name, std::size_t type_index, std::size_t rows,
                  std::size_t cols, const ByteArray& data) {
    const Type type = type_at(type_index);
    check_size(type, rows, cols, data);
    if (decoder_) throw py::value_error("the model is already loaded");
    {
      py::gil_scoped_release release;
      weights_.set_matrix(name, type, rows, cols, bytes_of(data), ThreadPool::shared(), threads_);
    }
    // Only what the decoder still points at is kept; packed types have their own copy.
    const bool is_float = info(type).block_size == 1;
    if (is_float || name == "token_embd.weight") kept_.push_back(data);
  }

  void set_vector(const std::string& name, const FloatArray& data) {
    weights_.set_vector(name, data.data(), static_cast<std::size_t>(data.size()));
  }

  void start(std::size_t context) {
    if (context == 0) throw py::value_error("a context needs room for a token");
    py::gil_scoped_release release;
    weights_.finish(ThreadPool::shared(), threads_);
    decoder_.emplace(weights_, context, ThreadPool::shared(), threads_);
  }

  // Appends tokens, filling `out`: float32 (vocab,) or, for `all`, (n, vocab). On KeyboardInterrupt
  // between two tiles the context is as it was before.
  void eval(const TokenArray& tokens, FloatArray out, bool all) {
    Decoder& decoder = started();
    const auto n = static_cast<std::size_t>(tokens.size());
    const std::size_t vocab = decoder.config().vocab;
    if (static_cast<std::size_t>(out.size()) != (all ? n : 1) * vocab) {
      throw py::value_error("out does not fit the logits");
    }
    const std::int32_t* ids = tokens.data();
    for (std::size_t i = 0; i < n; ++i) {
      if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= vocab) {
        throw py::value_error("token " + std::to_string(ids[i]) + " is not in a vocabulary of " +
                              std::to_string(vocab));
      }
    }
    float* logits = out.mutable_data();
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> turn(mutex_);
    const std::size_t begin = decoder.position();
    if (n == 0 || n > decoder.context() - begin) {
      throw py::value_error(std::to_string(n) + " tokens do not fit a context of " +
                            std::to_string(decoder.context()) + " that holds " +
                            std::to_string(begin));
    }
    for (std::size_t i = 0; i < n; i += llama::kTile) {
      const std::size_t count = std::min(llama::kTile, n - i);
      float* at = all ? logits + i * vocab : i + count == n ? logits : nullptr;
      decoder.forward(ids + i, count, at, all);
      py::gil_scoped_acquire acquire;
      if (PyErr_CheckSignals() != 0) {
        decoder.truncate(begin);
        throw py::error_already_set();
      }
    }
  }

  void truncate(std::size_t position) {
    Decoder& decoder = started();
    py::gil_scoped_release release;
    const std::lock_guard<std::mutex> turn(mutex_);
    decoder.truncate(position);
  }

  std::size_t position() { return started().position(); }
  std::size_t context() { return started().context(); }
  std::size_t nbytes() { return weights_.nbytes() + started().nbytes(); }
  int lock() { return weights_.lock(); }

 private:
  Decoder& started() {
    if (!decoder_) throw py::value_error("the model is not loaded yet");
    return *decoder_;
  }

  Weights weights_;
  int threads_;
  std::vector<ByteArray> kept_;
  std::optional<Decoder> decoder_;
  std::mutex mutex_;
};

SamplerConfig sampler_config(float temperature, std::size_t top_k, float top_p, float min_p,
                             float repeat_penalty, float frequency_penalty, float presence_penalty,
                             std::size_t penalty_window, std::uint64_t seed) {
  return {temperature,      top_k,          top_p, min_p, repeat_penalty, frequency_penalty,
          presence_penalty, penalty_window, seed};
}

}  // namespace

void bind_llama(py::module_& m) {
  py::class_<Session>(m, "LlamaSession")
      .def(py::init<const py::dict&, int>(), py::arg("config"), py::arg("threads"))
      .def("set_matrix", &Session::set_matrix, py::arg("name"), py::arg("type"), py::arg("rows"),
           py::arg("cols"), py::arg("data").noconvert())
      .def("set_vector", &Session::set_vector, py::arg("name"), py::arg("data"))
      .def("start", &Session::start, py::arg("context"))
      .def("eval", &Session::eval, py::arg("tokens"), py::arg("out").noconvert(), py::arg("all"))
      .def("truncate", &Session::truncate, py::arg("position"))
      .def("lock", &Session::lock)
      .def_property_readonly("position", &Session::position)
      .def_property_readonly("context", &Session::context)
      .def_property_readonly("nbytes", &Session::nbytes);
  py::class_<Sampler>(m, "Sampler")
      .def(py::init([](float temperature, std::size_t top_k, float top_p, float min_p,
                       float repeat_penalty, float frequency_penalty, float presence_penalty,
                       std::size_t penalty_window, std::uint64_t seed) {
             return Sampler(sampler_config(temperature, top_k, top_p, min_p, repeat_penalty,
                                           frequency_penalty, presence_penalty, penalty_window,
                                           seed));
           }),
           py::kw_only(), py::arg("temperature"), py::arg("top_k"), py::arg("top_p"),
           py::arg("min_p"), py::arg("repeat_penalty"), py::arg("frequency_penalty"),
           py::arg("presence_penalty"), py::arg("penalty_window"), py::arg("seed"))
      .def("accept", &Sampler::accept, py::arg("token"))
      .def(
          "sample",
          [](Sampler& s, const FloatArray& logits) {
            return s.sample(logits.data(), static_cast<std::size_t>(logits.size()));
          },
          py::arg("logits"));
}

}  // namespace ggmlkit
