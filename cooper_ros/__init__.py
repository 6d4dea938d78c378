"""Depth, segmentation and spatial answers from one robot camera, as a ROS 2 package.

Importing this package imports nothing else: neither ROS nor torch nor the compiled interfaces.
"""
import os

# The compiled interfaces (cooper_ros.msg, .srv, .action) may lie in another directory of the
# same name: in site-packages, while the sources are used from a checkout.
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)

# ONNX Runtime's official builds report to their maker, and look for its servers as soon as the
# library is loaded, before any call could forbid it. Here, because whatever loads the library
# imports this package first. Not a default: nothing leaves the robot (docs/security.md).
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

# A program of ours that is stopped while it still imports ends without a traceback.
from cooper_ros.core import stopping

if stopping.is_program():
    stopping.end_at_once()

__version__ = "0.2.0"
