"""The COOPER architecture in torch: configuration, modelling, checkpoints (never imported by the
node)."""
