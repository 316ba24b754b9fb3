"""Memory: of a fresh process per backend, of the compiled C, of a TensorRT plan."""
