"""A camera driver and the perception node: USB camera by default, others by arguments.

    ros2 launch cooper_ros driver.launch.py                      # usb_cam, /dev/video0
    ros2 launch cooper_ros driver.launch.py driver_package:=realsense2_camera \
        driver_executable:=realsense2_camera_node driver_config:=realsense.yaml \
        image:=/camera/camera/color/image_raw camera_info:=/camera/camera/color/camera_info \
        range_points:=/camera/camera/aligned_depth_to_color/image_raw

The driver is not part of this package; docs/launch.md has arguments for some.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The node's own launch file first: the driver gets the same transport profile."""
    share = FindPackageShare("cooper_ros")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "driver_package", default_value="usb_cam", description="Package of the driver."
            ),
            DeclareLaunchArgument(
                "driver_executable",
                default_value="usb_cam_node_exe",
                description="Its executable.",
            ),
            DeclareLaunchArgument(
                "driver_name", default_value="camera", description="Its node name and namespace."
            ),
            DeclareLaunchArgument(
                "driver_config",
                default_value="usb_camera.yaml",
                description="Its parameters: a file of this package's config, or a full path.",
            ),
            DeclareLaunchArgument(
                "image", default_value="/camera/image_raw", description="Topic of the images."
            ),
            DeclareLaunchArgument(
                "camera_info",
                default_value="/camera/camera_info",
                description="Topic of the calibration.",
            ),
            DeclareLaunchArgument(
                "image_transport", default_value="", description="raw or compressed."
            ),
            DeclareLaunchArgument(
                "range_points",
                default_value="range_points",
                description="Metric anchors: a registered depth image or a lidar's points.",
            ),
            DeclareLaunchArgument(
                "external_depth",
                default_value="external_depth",
                description="Registered depth image, used with depth_source:=external.",
            ),
            DeclareLaunchArgument(
                "view", default_value="false", description="true = serve the web page."
            ),
            DeclareLaunchArgument("port", default_value="8080", description="Port of the page."),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution([share, "launch", "cooper.launch.py"])
                ),
                launch_arguments={
                    "image": LaunchConfiguration("image"),
                    "camera_info": LaunchConfiguration("camera_info"),
                    "image_transport": LaunchConfiguration("image_transport"),
                    "range_points": LaunchConfiguration("range_points"),
                    "external_depth": LaunchConfiguration("external_depth"),
                    "view": LaunchConfiguration("view"),
                    "port": LaunchConfiguration("port"),
                }.items(),
            ),
            Node(
                package=LaunchConfiguration("driver_package"),
                executable=LaunchConfiguration("driver_executable"),
                name=LaunchConfiguration("driver_name"),
                namespace=LaunchConfiguration("driver_name"),
                output="screen",
                parameters=[
                    PathJoinSubstitution([share, "config", LaunchConfiguration("driver_config")])
                ],
            ),
        ]
    )
