#include "bindings/model_weights.h"

#include <algorithm>
#include <memory>

#include "bindings/gil.h"
#include "engine/adapter.h"

namespace py = pybind11;

namespace ggmlkit {

using engine::Adapter;

ModelWeights::ModelWeights(const engine::Config& config, int threads, bool repack)
    : weights_(config, repack ? Packing::at_load : Packing::at_use), threads_(threads) {}

void ModelWeights::check_unfinished() const {
  if (is_finished_) throw py::value_error("the model is already loaded");
}

const engine::Weights& ModelWeights::finished() const {
  if (!is_finished_) throw py::value_error("the model is not loaded yet");
  return weights_;
}

bool ModelWeights::set_matrix(const std::string& name, std::size_t type_index, std::size_t rows,
                              std::size_t cols, const ByteArray& data) {
  const Type type = type_at(type_index);
  check_size(type, rows, cols, data);
  check_unfinished();
  weights_.set_matrix(name, type, rows, cols, bytes_of(data));
  const bool keeps = weights_.keeps_data(name);
  (keeps ? kept_ : unpacked_).push_back(data);
  return !keeps;
}

void ModelWeights::set_vector(const std::string& name, const FloatArray& data) {
  check_unfinished();
  weights_.set_vector(name, data.data(), static_cast<std::size_t>(data.size()));
}

void ModelWeights::pack() {
  check_unfinished();
  {
    const ReleasedGil release;
    weights_.pack(ThreadPool::shared(), threads_);
  }
  unpacked_.clear();
}

void ModelWeights::finish() {
  check_unfinished();
  {
    const ReleasedGil release;
    weights_.finish(ThreadPool::shared(), threads_);
  }
  unpacked_.clear();
  is_finished_ = true;
}

namespace {

// The adapters' update of a matrix, B·A: A as (rank, columns), B as (rank, rows). Copied.
void set_update(Adapter& adapter, const std::string& name, const FloatArray& a,
                const FloatArray& b) {
  if (a.ndim() != 2 || b.ndim() != 2 || a.shape(0) != b.shape(0)) {
    throw py::value_error("an adapter update takes two matrices of as many rows as its rank");
  }
  const auto size = [](const FloatArray& x, int axis) {
    return static_cast<std::size_t>(x.shape(axis));
  };
  adapter.set(name, size(a, 0), size(b, 1), size(a, 1), a.data(), b.data());
}

}  // namespace

void bind_model_weights(py::module_& m) {
  py::class_<ModelWeights, std::shared_ptr<ModelWeights>>(m, "ModelWeights")
      .def(py::init<const engine::Config&, int, bool>(), py::arg("config"), py::arg("threads"),
           py::arg("repack"))
      .def("set_matrix", &ModelWeights::set_matrix, py::arg("name"), py::arg("type"),
           py::arg("rows"), py::arg("cols"), py::arg("data").noconvert())
      .def("set_vector", &ModelWeights::set_vector, py::arg("name"), py::arg("data"))
      .def("pack", &ModelWeights::pack)
      .def("finish", &ModelWeights::finish)
      .def("lock", &ModelWeights::lock)
      .def_property_readonly("nbytes", &ModelWeights::nbytes);
  py::class_<Adapter, std::shared_ptr<Adapter>>(m, "Adapter")
      .def(py::init([](const ModelWeights& weights) {
             return std::make_shared<Adapter>(weights.config());
           }),
           py::arg("weights"))
      .def("set", &set_update, py::arg("name"), py::arg("a"), py::arg("b"))
      .def_property_readonly("nbytes", &Adapter::nbytes);
}

}  // namespace ggmlkit
