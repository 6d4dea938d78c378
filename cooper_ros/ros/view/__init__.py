"""A web page for people without a ROS desktop: camera, depth, segmentation and questions."""
