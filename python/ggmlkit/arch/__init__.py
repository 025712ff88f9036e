"""What a model is: architectures, hyper-parameters, tensor names."""
