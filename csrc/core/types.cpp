#include "core/types.h"

namespace ggmlkit {
namespace {

// Sizes: the GGUF specification's and, for the legacy rows, those of llama.cpp in each generation.
constexpr TypeInfo kTypes[kTypeCount] = {
    {"f32", 0, 1, 4, "gguf"},          {"f16", 1, 1, 2, "gguf"},
    {"bf16", 30, 1, 2, "gguf"},        {"q4_0", 2, 32, 18, "gguf"},
    {"q4_1", 3, 32, 20, "gguf"},       {"q5_0", 6, 32, 22, "gguf"},
    {"q5_1", 7, 32, 24, "gguf"},       {"q8_0", 8, 32, 34, "gguf"},
    {"q4_0_v2", 2, 32, 20, "ggjt-v2"}, {"q4_1_v2", 3, 32, 24, "ggjt-v2"},
    {"q8_0_v2", 8, 32, 36, "ggjt-v2"}, {"q4_0_v1", 2, 32, 20, "ggjt-v1"},
    {"q4_1_v1", 3, 32, 24, "ggjt-v1"}, {"q5_0_v1", 6, 32, 22, "ggjt-v1"},
    {"q5_1_v1", 7, 32, 24, "ggjt-v1"}, {"q4_2", 4, 16, 10, "ggjt-v1"},
    {"q4_3", 5, 16, 12, "ggjt-v1"},    {"q8_1", 9, 32, 36, "gguf"},
    {"q2_K", 10, 256, 84, "gguf"},     {"q3_K", 11, 256, 110, "gguf"},
    {"q4_K", 12, 256, 144, "gguf"},    {"q5_K", 13, 256, 176, "gguf"},
    {"q6_K", 14, 256, 210, "gguf"},    {"q8_K", 15, 256, 292, "gguf"},
    {"iq2_xxs", 16, 256, 66, "gguf"},  {"iq2_xs", 17, 256, 74, "gguf"},
    {"iq3_xxs", 18, 256, 98, "gguf"},  {"iq1_s", 19, 256, 50, "gguf"},
    {"iq4_nl", 20, 32, 18, "gguf"},    {"iq3_s", 21, 256, 110, "gguf"},
    {"iq2_s", 22, 256, 82, "gguf"},    {"iq4_xs", 23, 256, 136, "gguf"},
    {"i8", 24, 1, 1, "gguf"},          {"i16", 25, 1, 2, "gguf"},
    {"i32", 26, 1, 4, "gguf"},         {"i64", 27, 1, 8, "gguf"},
    {"f64", 28, 1, 8, "gguf"},         {"iq1_m", 29, 256, 56, "gguf"},
    {"tq1_0", 34, 256, 54, "gguf"},    {"tq2_0", 35, 256, 66, "gguf"},
    {"mxfp4", 39, 32, 17, "gguf"},     {"nvfp4", 40, 64, 36, "gguf"},
    {"q1_0", 41, 128, 18, "gguf"},     {"q2_0", 42, 64, 18, "gguf"},
};

}  // namespace

const TypeInfo& info(Type type) { return kTypes[static_cast<std::size_t>(type)]; }

}  // namespace ggmlkit
