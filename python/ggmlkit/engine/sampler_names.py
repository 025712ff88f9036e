"""Names of the samplers, in the order in which they are applied unless told otherwise."""

SAMPLERS = (
    "penalties", "dry", "top_n_sigma", "top_k", "typical_p", "top_p", "min_p", "xtc", "temperature",
)  # fmt: skip
# llama.cpp's names of samplers that are not ours.
LLAMA_CPP_NAMES = {
    "typ_p": "typical_p", "typical": "typical_p", "temp": "temperature", "top-k": "top_k",
    "top-p": "top_p", "min-p": "min_p", "top-n-sigma": "top_n_sigma",
}  # fmt: skip
