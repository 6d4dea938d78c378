"""Running a model folder: numpy and one inference engine, no torch."""
