// Files that shrink while they are mapped. Reading a page that the file no longer has raises
// SIGBUS, which would end the process; in a guarded range the reader finds zeros instead and can
// ask afterwards.
#pragma once

#include <cstddef>

namespace ggmlkit {

class MappingGuard {
 public:
  // Guards [begin, begin + bytes), a mapping's pages, until this is destroyed. There is room for
  // kMostMappings at a time; mappings beyond that are not guarded.
  MappingGuard(const std::byte* begin, std::size_t bytes);
  ~MappingGuard();
  MappingGuard(const MappingGuard&) = delete;
  MappingGuard& operator=(const MappingGuard&) = delete;

  // Whether a read hit pages that were gone; what was read since then may be zeros.
  bool has_lost_pages() const;

  static constexpr std::size_t kMostMappings = 256;

 private:
  std::size_t slot_;
};

}  // namespace ggmlkit
