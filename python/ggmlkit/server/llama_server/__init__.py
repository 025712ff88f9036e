"""The endpoints of llama.cpp's llama-server that editors and scripts use."""
