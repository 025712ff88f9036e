// x86 intrinsics: the compiler's, or those of SIMDe, which runs the wider sets on a processor that
// has AVX2 alone (for tests; see the option GGMLKIT_SIMDE).
#pragma once

#if defined(GGMLKIT_SIMDE)
#include "kernels/simde.h"
#else
#include <immintrin.h>
#endif
