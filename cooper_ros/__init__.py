"""Depth, segmentation and spatial answers from one robot camera, as a ROS 2 package.

Importing this package imports nothing else: neither ROS nor torch nor the compiled interfaces.
"""
# The compiled interfaces (cooper_ros.msg, cooper_ros.srv) may lie in another directory of the
# same name: in site-packages, while the sources are used from a checkout.
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
__version__ = "0.1.0"
