// Linux's leave to use AMX's tiles.
#pragma once

#include <sys/syscall.h>
#include <unistd.h>

namespace ggmlkit {
namespace {

// A process gets the tiles' registers, eight kilobytes a thread, on request.
inline bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM of asm/prctl.h
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

}  // namespace
}  // namespace ggmlkit
