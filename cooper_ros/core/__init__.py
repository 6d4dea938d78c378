"""Plain numpy building blocks: frames, maps, answers, codecs and geometry.

Nothing in this package knows ROS, torch or an inference engine.
"""
