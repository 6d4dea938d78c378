"""Model folder to engines: build gate, engine cache. Imports neither torch nor the model."""
