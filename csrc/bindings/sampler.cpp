#include "engine/sampler.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"
#include "engine/log_probability.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using engine::Sampler;
using engine::SamplingParams;
using engine::SamplingStep;
using WordArray = py::array_t<std::uint32_t, py::array::c_style>;

// A row of bits for each row of logits.
const std::uint32_t* allowed_bits(const std::optional<WordArray>& allowed, std::size_t rows,
                                  std::size_t vocab) {
  if (!allowed) return nullptr;
  if (allowed->ndim() != 2 || static_cast<std::size_t>(allowed->shape(0)) != rows ||
      static_cast<std::size_t>(allowed->shape(1)) != engine::allowed_words(vocab)) {
    throw py::value_error("each row of logits takes a row of allowed bits");
  }
  return allowed->data();
}

py::array_t<std::int32_t> sample_rows(const std::vector<Sampler*>& samplers,
                                      const FloatArray& logits,
                                      const std::optional<WordArray>& allowed) {
  const std::size_t rows = samplers.size();
  if (logits.ndim() != 2 || static_cast<std::size_t>(logits.shape(0)) != rows || rows == 0) {
    throw py::value_error("each row of logits takes a sampler");
  }
  std::vector<Sampler*> sorted = samplers;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    throw py::value_error("a sampler is named twice");
  }
  py::array_t<std::int32_t> tokens(static_cast<py::ssize_t>(rows));
  std::int32_t* to = tokens.mutable_data();
  const float* from = logits.data();
  const auto vocab = static_cast<std::size_t>(logits.shape(1));
  const std::uint32_t* bits = allowed_bits(allowed, rows, vocab);
  const ReleasedGil release;
  engine::sample_rows(samplers, from, vocab, bits, to, ThreadPool::shared());
  return tokens;
}

}  // namespace

void bind_sampler(py::module_& m) {
  py::enum_<SamplingStep>(m, "SamplingStep")
      .value("penalties", SamplingStep::penalties)
      .value("dry", SamplingStep::dry)
      .value("top_n_sigma", SamplingStep::top_n_sigma)
      .value("top_k", SamplingStep::top_k)
      .value("typical_p", SamplingStep::typical_p)
      .value("top_p", SamplingStep::top_p)
      .value("min_p", SamplingStep::min_p)
      .value("xtc", SamplingStep::xtc)
      .value("temperature", SamplingStep::temperature);
  py::class_<SamplingParams>(m, "SamplingParams")
      .def(py::init<>())
      .def_readwrite("steps", &SamplingParams::steps)
      .def_readwrite("temperature", &SamplingParams::temperature)
      .def_readwrite("dynatemp_range", &SamplingParams::dynatemp_range)
      .def_readwrite("dynatemp_exponent", &SamplingParams::dynatemp_exponent)
      .def_readwrite("top_k", &SamplingParams::top_k)
      .def_readwrite("top_p", &SamplingParams::top_p)
      .def_readwrite("min_p", &SamplingParams::min_p)
      .def_readwrite("typical_p", &SamplingParams::typical_p)
      .def_readwrite("top_n_sigma", &SamplingParams::top_n_sigma)
      .def_readwrite("xtc_probability", &SamplingParams::xtc_probability)
      .def_readwrite("xtc_threshold", &SamplingParams::xtc_threshold)
      .def_readwrite("min_keep", &SamplingParams::min_keep)
      .def_readwrite("mirostat", &SamplingParams::mirostat)
      .def_readwrite("mirostat_tau", &SamplingParams::mirostat_tau)
      .def_readwrite("mirostat_eta", &SamplingParams::mirostat_eta)
      .def_readwrite("repeat_penalty", &SamplingParams::repeat_penalty)
      .def_readwrite("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_readwrite("presence_penalty", &SamplingParams::presence_penalty)
      .def_readwrite("repeat_last_n", &SamplingParams::repeat_last_n)
      .def_readwrite("dry_multiplier", &SamplingParams::dry_multiplier)
      .def_readwrite("dry_base", &SamplingParams::dry_base)
      .def_readwrite("dry_allowed_length", &SamplingParams::dry_allowed_length)
      .def_readwrite("dry_penalty_last_n", &SamplingParams::dry_penalty_last_n)
      .def_readwrite("dry_sequence_breakers", &SamplingParams::dry_sequence_breakers)
      .def_readwrite("seed", &SamplingParams::seed)
      .def_readwrite("logit_bias", &SamplingParams::logit_bias);
  py::class_<Sampler>(m, "Sampler")
      .def(py::init<const SamplingParams&>(), py::arg("params"))
      .def("accept", &Sampler::accept, py::arg("token"))
      // Another that would draw the same tokens.
      .def("copy", [](const Sampler& sampler) { return Sampler(sampler); });
  // int32 (rows,) for float32 (rows, vocab) and uint32 (rows, words of 32 bits); -1 for a row where
  // nothing is left.
  m.def("sample_rows", &sample_rows, py::arg("samplers"), py::arg("logits"),
        py::arg("allowed") = py::none());
  m.def(
      "log_probability",
      [](const FloatArray& logits, std::int32_t token) {
        const auto n = static_cast<std::size_t>(logits.size());
        if (token < 0 || static_cast<std::size_t>(token) >= n) {
          throw py::value_error("no logit is that token's");
        }
        const ReleasedGil release;
        return engine::log_probability(logits.data(), n, token);
      },
      py::arg("logits"), py::arg("token"));
  m.def(
      "top_log_probabilities",
      [](const FloatArray& logits, std::size_t top) {
        const auto n = static_cast<std::size_t>(logits.size());
        if (n == 0) throw py::value_error("there are no logits");
        const ReleasedGil release;
        return engine::top_log_probabilities(logits.data(), n, top);
      },
      py::arg("logits"), py::arg("top"));
}

}  // namespace ggmlkit
