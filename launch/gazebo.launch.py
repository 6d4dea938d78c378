"""A camera of a running Gazebo through ros_gz_bridge, and the perception node on its time.

UNTESTED with Gazebo: only the command lines were looked at, with a stand-in for the bridge.

    ros2 launch cooper_ros gazebo.launch.py gz_image:=/camera/image \
        gz_camera_info:=/camera/camera_info

The world needs the Sensors system and a camera sensor; list its topics with `gz topic -l`.
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The bridge keeps the topics' names."""
    share = FindPackageShare("cooper_ros")
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "gz_image", default_value="/camera/image", description="Gazebo's image topic."
            ),
            DeclareLaunchArgument(
                "gz_camera_info",
                default_value="/camera/camera_info",
                description="Gazebo's calibration topic.",
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
                    "image": LaunchConfiguration("gz_image"),
                    "camera_info": LaunchConfiguration("gz_camera_info"),
                    "use_sim_time": "true",
                    "view": LaunchConfiguration("view"),
                    "port": LaunchConfiguration("port"),
                }.items(),
            ),
            Node(
                package="ros_gz_bridge",
                executable="parameter_bridge",
                output="screen",
                arguments=[
                    [LaunchConfiguration("gz_image"), "@sensor_msgs/msg/Image[gz.msgs.Image"],
                    [
                        LaunchConfiguration("gz_camera_info"),
                        "@sensor_msgs/msg/CameraInfo[gz.msgs.CameraInfo",
                    ],
                    "/clock@rosgraph_msgs/msg/Clock[gz.msgs.Clock",
                ],
            ),
        ]
    )
