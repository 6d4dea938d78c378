"""Bags without `ros2 bag`: recording, playing and asking about them, on the rosbags library."""
