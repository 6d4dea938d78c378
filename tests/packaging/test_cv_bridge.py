"""Our image converter reads and writes what cv_bridge reads and writes."""

from __future__ import annotations

import numpy as np
import pytest

from cooper_ros.ros.conversion import array_to_image, image_to_array, image_to_rgb

CvBridge = pytest.importorskip("cv_bridge").CvBridge
RNG = np.random.default_rng(0)
# not 16UC1: the packaged cv_bridge takes it for 8 bits with OpenCV 4.14
PICTURES = {
    "rgb8": RNG.integers(0, 256, (12, 17, 3), np.uint8),
    "bgr8": RNG.integers(0, 256, (12, 17, 3), np.uint8),
    "rgba8": RNG.integers(0, 256, (12, 17, 4), np.uint8),
    "mono8": RNG.integers(0, 256, (12, 17), np.uint8),
    "32FC1": RNG.random((12, 17), np.float32),
}


@pytest.mark.parametrize("encoding", PICTURES)
def test_both_read_the_same_pixels(encoding: str) -> None:
    values = PICTURES[encoding]
    theirs = CvBridge().cv2_to_imgmsg(values, encoding)
    ours = array_to_image(values, encoding)
    assert (ours.height, ours.width, ours.step) == (theirs.height, theirs.width, theirs.step)
    assert bytes(ours.data) == bytes(theirs.data)
    np.testing.assert_array_equal(image_to_array(theirs), values)
    np.testing.assert_array_equal(CvBridge().imgmsg_to_cv2(ours), values)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_both_make_the_same_rgb(encoding: str) -> None:
    message = array_to_image(PICTURES[encoding], encoding)
    theirs = CvBridge().imgmsg_to_cv2(message, "rgb8")
    np.testing.assert_array_equal(image_to_rgb(message), theirs)
