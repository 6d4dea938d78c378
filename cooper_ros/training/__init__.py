"""Training: autoencoder, stage 1 (maps), stage 2 (interleaved questions); CPU processes or one
GPU."""
