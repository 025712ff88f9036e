#include "engine/sampler.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "bindings/bindings.h"
#include "bindings/gil.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using engine::Sampler;
using engine::SamplingParams;

py::array_t<std::int32_t> sample_rows(const std::vector<Sampler*>& samplers,
                                      const FloatArray& logits) {
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
  const ReleasedGil release;
  engine::sample_rows(samplers, from, vocab, to, ThreadPool::shared());
  return tokens;
}

}  // namespace

void bind_sampler(py::module_& m) {
  py::class_<SamplingParams>(m, "SamplingParams")
      .def(py::init<>())
      .def_readwrite("temperature", &SamplingParams::temperature)
      .def_readwrite("top_k", &SamplingParams::top_k)
      .def_readwrite("top_p", &SamplingParams::top_p)
      .def_readwrite("min_p", &SamplingParams::min_p)
      .def_readwrite("repeat_penalty", &SamplingParams::repeat_penalty)
      .def_readwrite("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_readwrite("presence_penalty", &SamplingParams::presence_penalty)
      .def_readwrite("repeat_last_n", &SamplingParams::repeat_last_n)
      .def_readwrite("seed", &SamplingParams::seed)
      .def_readwrite("logit_bias", &SamplingParams::logit_bias);
  py::class_<Sampler>(m, "Sampler")
      .def(py::init<const SamplingParams&>(), py::arg("params"))
      .def("accept", &Sampler::accept, py::arg("token"));
  // int32 (rows,) for float32 (rows, vocab); -1 for a row without a number.
  m.def("sample_rows", &sample_rows, py::arg("samplers"), py::arg("logits"));
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
}

}  // namespace ggmlkit
