"""Questions, prompts, the interleaved loop and the reading of answers. Uses `core` only."""
