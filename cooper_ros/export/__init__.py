"""Checkpoint to model folder: ONNX graphs whose weights are byte ranges of safetensors shards."""
