// GELU as Hendrycks and Gimpel (2016) approximate it: g · (1 + tanh(kGeluScale · (g + kGeluCubic ·
// g³))) / 2.
#pragma once

namespace ggmlkit {

constexpr float kGeluScale = 0.797884560802865f;  // √(2 / π)
constexpr float kGeluCubic = 0.044715f;

}  // namespace ggmlkit
