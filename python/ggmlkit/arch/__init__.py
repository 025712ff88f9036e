"""Describes models: architectures, hyper-parameters, tensor names."""
