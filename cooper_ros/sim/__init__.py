"""Simulated rooms: procedural world, renderer, exact truth, and data sets made of them."""
