"""Scoring: metrics, simulated test scenes, real frames, speed and reports."""
