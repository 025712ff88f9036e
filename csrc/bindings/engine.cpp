#include "engine/engine.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "bindings/model_weights.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using engine::Adapter;
using engine::Engine;
using engine::LogitsOf;
using engine::Sequence;
using TokenArray = py::array_t<std::int32_t, py::array::c_style>;

// An engine, and what it computes with.
struct OwningEngine {
  OwningEngine(std::shared_ptr<ModelWeights> model, const Engine::Settings& settings)
      : weights(std::move(model)), engine(weights->finished(), settings) {}

  std::shared_ptr<ModelWeights> weights;
  Engine engine;
};

// A sequence gives its pages back when Python lets go of it.
struct OwningSequence {
  OwningSequence(std::shared_ptr<OwningEngine> of, std::unique_ptr<Sequence> made)
      : engine(std::move(of)), sequence(std::move(made)) {}
  ~OwningSequence() { engine->engine.end(*sequence); }
  OwningSequence(const OwningSequence&) = delete;
  OwningSequence& operator=(const OwningSequence&) = delete;

  std::shared_ptr<OwningEngine> engine;
  std::unique_ptr<Sequence> sequence;
};

engine::KvTypes kv_types_named(const std::string& keys, const std::string& values) {
  return {kv_type_named(keys), kv_type_named(values)};
}

std::shared_ptr<OwningEngine> new_engine(std::shared_ptr<ModelWeights> weights, std::size_t context,
                                         std::size_t positions, const std::string& key_type,
                                         const std::string& value_type, int activation_bits,
                                         bool keeps_prefixes, bool batch_invariant) {
  if (context == 0) throw py::value_error("a context needs room for a token");
  if (positions == 0) throw py::value_error("the key-value cache needs room for a token");
  if (activation_bits != 8 && activation_bits != 16) {
    throw py::value_error("activations have 8 or 16 bits");
  }
  const int all = ThreadPool::shared().size();
  const int asked = weights->threads();
  engine::TwoParts two_parts = activation_bits == 16 ? engine::kAllBlocks : engine::kCoarseBlocks;
  two_parts.has_matrix_panels = !batch_invariant;
  const Engine::Settings settings{context,
                                  positions,
                                  kv_types_named(key_type, value_type),
                                  two_parts,
                                  asked > 0 ? std::min(asked, all) : all,
                                  keeps_prefixes};
  const ReleasedGil release;
  return std::make_shared<OwningEngine>(std::move(weights), settings);
}

void check_tokens(const TokenArray& tokens, std::size_t vocab) {
  const std::int32_t* ids = tokens.data();
  for (py::ssize_t i = 0; i < tokens.size(); ++i) {
    if (ids[i] < 0 || static_cast<std::size_t>(ids[i]) >= vocab) {
      throw py::value_error("token " + std::to_string(ids[i]) + " is not in a vocabulary of " +
                            std::to_string(vocab));
    }
  }
}

// The pieces of a step; throws ValueError where the arrays contradict each other.
std::vector<Engine::Piece> pieces_of(OwningEngine& of,
                                     const std::vector<OwningSequence*>& sequences,
                                     const TokenArray& tokens,
                                     const std::vector<std::size_t>& counts,
                                     const std::vector<LogitsOf>& logits) {
  if (sequences.size() != counts.size() || sequences.size() != logits.size()) {
    throw py::value_error("each sequence takes a count of tokens and says which logits it wants");
  }
  std::vector<Engine::Piece> pieces;
  auto left = static_cast<std::size_t>(tokens.size());
  const std::int32_t* ids = tokens.data();
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i]->engine.get() != &of) throw py::value_error("a sequence is another engine's");
    if (counts[i] == 0) throw py::value_error("there are no tokens to append");
    if (counts[i] > left) throw py::value_error("there are fewer tokens than the counts say");
    pieces.push_back({sequences[i]->sequence.get(), ids, counts[i], logits[i]});
    ids += counts[i];
    left -= counts[i];
  }
  if (left != 0) throw py::value_error("there are more tokens than the counts say");
  std::vector<OwningSequence*> sorted = sequences;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw py::value_error("a sequence is named twice");
  }
  return pieces;
}

bool interrupted() {
  const HeldGil acquire;
  return PyErr_CheckSignals() != 0;
}

// An array of `rows` rows, or nothing; throws ValueError for another size.
float* results_of(const std::optional<FloatArray>& out, std::size_t rows, std::size_t columns,
                  const char* name) {
  if (!out) return nullptr;
  if (static_cast<std::size_t>(out->size()) != rows * columns) {
    throw py::value_error(std::string("out does not fit the ") + name);
  }
  FloatArray array = *out;
  return array.mutable_data();
}

// Calls Python with a copy of what an observer sees, up to its first error.
class PythonObserver {
 public:
  explicit PythonObserver(py::object callback) : callback_(std::move(callback)) {}

  engine::Observer observer() {
    if (callback_.is_none()) return {};
    return [this](std::size_t layer, engine::Input input, const float* x, std::size_t tokens,
                  std::size_t columns) {
      if (error_) return;
      const HeldGil acquire;
      try {
        callback_(layer, input, FloatArray({tokens, columns}, x));
      } catch (const py::error_already_set&) {
        error_ = std::current_exception();
      }
    };
  }
  bool has_failed() const { return error_ != nullptr; }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  py::object callback_;
  std::exception_ptr error_;
};

void step(OwningEngine& of, const std::vector<OwningSequence*>& sequences, const TokenArray& tokens,
          const std::vector<std::size_t>& counts, const std::vector<LogitsOf>& logits,
          const std::optional<FloatArray>& out, const std::optional<FloatArray>& hidden,
          const py::object& callback) {
  const std::vector<Engine::Piece> pieces = pieces_of(of, sequences, tokens, counts, logits);
  const engine::Config& config = of.engine.config();
  check_tokens(tokens, config.vocab);
  if (out && !config.has_output) throw py::value_error("the model has no output matrix");
  std::size_t rows = 0;
  for (const Engine::Piece& piece : pieces) rows += piece.rows();
  PythonObserver observer(callback);
  const Engine::Results results{results_of(out, rows, config.vocab, "logits"),
                                results_of(hidden, rows, config.dim, "hidden states"),
                                observer.observer(), interrupted,
                                [&] { return observer.has_failed(); }};
  try {
    const ReleasedGil release;
    of.engine.step(pieces, results);
  } catch (const engine::Interrupted&) {
    observer.rethrow();
    throw py::error_already_set();
  }
}

// Without the interpreter's lock, as another thread's step may have to end first.
template <class Work>
auto unlocked(const Work& work) {
  const ReleasedGil release;
  return work();
}

std::unique_ptr<OwningSequence> load(const std::shared_ptr<OwningEngine>& e,
                                     std::shared_ptr<Adapter> adapter, const TokenArray& tokens,
                                     std::size_t window_begin, const ByteArray& data) {
  check_tokens(tokens, e->engine.config().vocab);
  const std::vector<std::int32_t> ids(tokens.data(), tokens.data() + tokens.size());
  auto made = unlocked([&] {
    return e->engine.load(std::move(adapter), ids, window_begin, bytes_of(data),
                          static_cast<std::size_t>(data.size()));
  });
  return std::make_unique<OwningSequence>(e, std::move(made));
}

py::array_t<std::uint8_t> save(OwningSequence& s) {
  const std::vector<std::byte> bytes = unlocked([&] { return s.engine->engine.save(*s.sequence); });
  return py::array_t<std::uint8_t>(static_cast<py::ssize_t>(bytes.size()),
                                   reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

TokenArray tokens_of(OwningSequence& s) {
  const std::vector<std::int32_t> held =
      unlocked([&] { return s.engine->engine.tokens(*s.sequence); });
  return TokenArray(static_cast<py::ssize_t>(held.size()), held.data());
}

}  // namespace

void bind_engine(py::module_& m) {
  m.attr("KV_PAGE") = engine::kPage;
  m.def(
      "kv_page_bytes",
      [](const ModelWeights& weights, const std::string& keys, const std::string& values) {
        return engine::KvPool::page_bytes(weights.config(), kv_types_named(keys, values));
      },
      py::arg("weights"), py::arg("key_type"), py::arg("value_type"));
  py::register_exception<engine::OutOfPages>(m, "OutOfPages", PyExc_RuntimeError);
  py::enum_<engine::Input>(m, "Input")
      .value("ATTN_NORM", engine::Input::attn_norm)
      .value("ATTENDED", engine::Input::attended)
      .value("FFN_NORM", engine::Input::ffn_norm)
      .value("HIDDEN", engine::Input::hidden)
      .value("OUTPUT_NORM", engine::Input::output_norm);
  py::enum_<LogitsOf>(m, "LogitsOf")
      .value("NONE", LogitsOf::none)
      .value("LAST", LogitsOf::last)
      .value("ALL", LogitsOf::all);
  py::class_<OwningSequence>(m, "Sequence")
      .def("fork",
           [](OwningSequence& s) {
             auto copy = unlocked([&] { return s.engine->engine.fork(*s.sequence); });
             return std::make_unique<OwningSequence>(s.engine, std::move(copy));
           })
      .def(
          "truncate",
          [](OwningSequence& s, std::size_t length) {
            return unlocked([&] { return s.engine->engine.truncate(*s.sequence, length); });
          },
          py::arg("length"))
      .def("save", &save)
      .def_property_readonly(
          "window_begin",
          [](OwningSequence& s) {
            return unlocked([&] { return s.engine->engine.window_begin(*s.sequence); });
          })
      .def_property_readonly("tokens", &tokens_of)
      .def("__len__", [](OwningSequence& s) {
        return unlocked([&] { return s.engine->engine.length(*s.sequence); });
      });
  py::class_<OwningEngine, std::shared_ptr<OwningEngine>>(m, "Engine")
      .def(py::init(&new_engine), py::arg("weights"), py::arg("context"), py::arg("positions"),
           py::arg("key_type"), py::arg("value_type"), py::arg("activation_bits"),
           py::arg("keeps_prefixes"), py::arg("batch_invariant"))
      .def(
          "sequence",
          [](const std::shared_ptr<OwningEngine>& e, std::shared_ptr<Adapter> adapter,
             const TokenArray& tokens) {
            const std::vector<std::int32_t> ids(tokens.data(), tokens.data() + tokens.size());
            auto made = unlocked([&] { return e->engine.start(std::move(adapter), ids); });
            return std::make_unique<OwningSequence>(e, std::move(made));
          },
          py::arg("adapter"), py::arg("tokens"))
      .def("step", &step, py::arg("sequences"), py::arg("tokens"), py::arg("counts"),
           py::arg("logits"), py::arg("out").noconvert(), py::arg("hidden").noconvert(),
           py::arg("observer"))
      .def("load", &load, py::arg("adapter"), py::arg("tokens"), py::arg("window_begin"),
           py::arg("data"))
      .def_property_readonly("context", [](OwningEngine& e) { return e.engine.context(); })
      .def_property_readonly("positions", [](OwningEngine& e) { return e.engine.positions(); })
      .def_property_readonly("free_positions",
                             [](OwningEngine& e) { return e.engine.free_positions(); })
      .def_property_readonly(
          "nbytes", [](OwningEngine& e) { return unlocked([&] { return e.engine.nbytes(); }); });
}

}  // namespace ggmlkit
