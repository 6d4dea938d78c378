"""ROS 2: the nodes `cooper` and `sim_camera`, message conversion, and the client for robots.

Nothing is imported here: the client can be used without an inference engine, the camera without a
model, and the perception node never sees the simulator.
"""
