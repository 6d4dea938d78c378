"""The perception node on any camera: USB, RealSense-style driver, bag or simulator.

    ros2 launch cooper_ros cooper.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info

The Fast DDS profile gives shared-memory segments that hold a whole image; start the camera driver
with the same `FASTRTPS_DEFAULT_PROFILES_FILE`, or best-effort images get lost.
"""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Launch arguments, the transport profile and the node."""
    config = PathJoinSubstitution([FindPackageShare("cooper_ros"), "config"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="Namespace."),
            DeclareLaunchArgument(
                "image", default_value="image", description="Topic of the camera image."
            ),
            DeclareLaunchArgument(
                "camera_info", default_value="camera_info", description="Topic of its calibration."
            ),
            DeclareLaunchArgument(
                "image_transport", default_value="raw", description="raw or compressed."
            ),
            DeclareLaunchArgument(
                "model", default_value="cooper-nano", description="Model folder: name or path."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([config, "cooper.yaml"]),
                description="Parameters of the node.",
            ),
            SetEnvironmentVariable(
                "FASTRTPS_DEFAULT_PROFILES_FILE",
                PathJoinSubstitution([config, "fastdds_shm.xml"]),
            ),
            Node(
                package="cooper_ros",
                executable="cooper_node",
                name="cooper",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[
                    LaunchConfiguration("params_file"),
                    {
                        "model": LaunchConfiguration("model"),
                        "image_transport": LaunchConfiguration("image_transport"),
                    },
                ],
                remappings=[
                    ("image", LaunchConfiguration("image")),
                    ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
                    ("camera_info", LaunchConfiguration("camera_info")),
                ],
            ),
        ]
    )
