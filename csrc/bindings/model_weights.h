// A model's weights, with the arrays that they are read from.
#pragma once

#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "engine/weights.h"

namespace ggmlkit {

class ModelWeights {
 public:
  ModelWeights(const engine::Config& config, int threads, bool repack);

  // Returns whether `data` will be copied, by `pack` or `finish`: its pages are not needed after.
  bool set_matrix(const std::string& name, std::size_t type_index, std::size_t rows,
                  std::size_t cols, const ByteArray& data);
  void set_vector(const std::string& name, const FloatArray& data);
  // Packs the matrices set so far. Many at once take less time than each alone.
  void pack();
  // Ends the loading.
  void finish();
  int lock() const { return weights_.lock(); }

  // Throws ValueError before the loading has ended.
  const engine::Weights& finished() const;
  const engine::Config& config() const { return weights_.config(); }
  std::size_t nbytes() const { return weights_.nbytes(); }
  int threads() const { return threads_; }

 private:
  void check_unfinished() const;

  engine::Weights weights_;
  int threads_;
  bool is_finished_ = false;
  std::vector<ByteArray> kept_;
  std::vector<ByteArray> unpacked_;
};

}  // namespace ggmlkit
