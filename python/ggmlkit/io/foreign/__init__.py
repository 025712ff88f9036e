"""Other programs' files of tensors, and their layouts of quantized layers."""
