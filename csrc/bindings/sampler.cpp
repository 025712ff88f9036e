#include "bindings/bindings.h"

#include <cstdint>

#include "engine/sampler.h"

namespace py = pybind11;

namespace ggmlkit {
namespace {

using engine::Sampler;
using engine::SamplerConfig;

SamplerConfig sampler_config(float temperature, std::size_t top_k, float top_p, float min_p,
                             float repeat_penalty, float frequency_penalty, float presence_penalty,
                             std::size_t penalty_window, std::uint64_t seed) {
  return {temperature,      top_k,          top_p, min_p, repeat_penalty, frequency_penalty,
          presence_penalty, penalty_window, seed};
}

}  // namespace

void bind_sampler(py::module_& m) {
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
