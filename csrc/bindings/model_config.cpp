#include "bindings/bindings.h"

#include <pybind11/stl.h>

#include "engine/config.h"

namespace py = pybind11;

namespace ggmlkit {

using engine::Config;
using engine::Gate;
using engine::RopeConfig;
using engine::RopePairs;
using engine::RopeScaling;

void bind_model_config(py::module_& m) {
  py::enum_<RopeScaling>(m, "RopeScaling")
      .value("NONE", RopeScaling::none)
      .value("LINEAR", RopeScaling::linear)
      .value("YARN", RopeScaling::yarn);
  py::enum_<RopePairs>(m, "RopePairs")
      .value("NEIGHBOURS", RopePairs::neighbours)
      .value("HALVES", RopePairs::halves);
  py::enum_<Gate>(m, "Gate").value("SILU", Gate::silu).value("GELU", Gate::gelu);

  py::class_<RopeConfig>(m, "RopeConfig")
      .def(py::init<>())
      .def_readwrite("dims", &RopeConfig::dims)
      .def_readwrite("pairs", &RopeConfig::pairs)
      .def_readwrite("base", &RopeConfig::base)
      .def_readwrite("scaling", &RopeConfig::scaling)
      .def_readwrite("factor", &RopeConfig::factor)
      .def_readwrite("original_context", &RopeConfig::original_context)
      .def_readwrite("attention_factor", &RopeConfig::attention_factor)
      .def_readwrite("beta_fast", &RopeConfig::beta_fast)
      .def_readwrite("beta_slow", &RopeConfig::beta_slow)
      .def_readwrite("freq_factors", &RopeConfig::freq_factors)
      .def_readwrite("long_freq_factors", &RopeConfig::long_freq_factors);

  py::class_<Config>(m, "ModelConfig")
      .def(py::init<>())
      .def_readwrite("layers", &Config::layers)
      .def_readwrite("dim", &Config::dim)
      .def_readwrite("heads", &Config::heads)
      .def_readwrite("kv_heads", &Config::kv_heads)
      .def_readwrite("head_dim", &Config::head_dim)
      .def_readwrite("ffn", &Config::ffn)
      .def_readwrite("vocab", &Config::vocab)
      .def_readwrite("norm_eps", &Config::norm_eps)
      .def_readwrite("rope", &Config::rope)
      .def_readwrite("sliding_rope", &Config::sliding_rope)
      .def_readwrite("gate", &Config::gate)
      .def_readwrite("embedding_scale", &Config::embedding_scale)
      .def_readwrite("query_scale", &Config::query_scale)
      .def_readwrite("attn_softcap", &Config::attn_softcap)
      .def_readwrite("final_softcap", &Config::final_softcap)
      .def_readwrite("has_head_norms", &Config::has_head_norms)
      .def_readwrite("has_post_norms", &Config::has_post_norms)
      .def_readwrite("windows", &Config::windows)
      .def_readwrite("has_output", &Config::has_output);
}

}  // namespace ggmlkit
