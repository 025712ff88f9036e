#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m, pybind11::mod_gil_not_used()) {
  m.doc() = "Compiled core of ggmlkit: types, kernels, decoder.";
  ggmlkit::bind_types(m);
  ggmlkit::bind_quant(m);
  ggmlkit::bind_files(m);
  ggmlkit::bind_matmul(m);
  ggmlkit::bind_attention(m);
  ggmlkit::bind_model_config(m);
  ggmlkit::bind_model_weights(m);
  ggmlkit::bind_engine(m);
  ggmlkit::bind_sampler(m);
  ggmlkit::bind_stored_strings(m);
  ggmlkit::bind_tokenization(m);
  ggmlkit::bind_pieces(m);
}
