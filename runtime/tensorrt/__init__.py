"""Running TensorRT plans: not yet run on hardware, see docs/tensorrt.md."""
