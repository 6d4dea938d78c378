"""The perception node on any camera that runs already, with the web page if wanted.

    ros2 launch cooper_ros cooper.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info view:=true

The Fast DDS profile gives shared-memory segments that hold a whole image; start the camera driver
with the same profile, or best-effort images get lost. Fast DDS 2 (Jazzy) and 3 (Kilted) read it
under two names.
"""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Launch arguments, the transport profile, the node and the page."""
    config = PathJoinSubstitution([FindPackageShare("cooper_ros"), "config"])
    profile = PathJoinSubstitution([config, "fastdds_shm.xml"])
    sim_time = ParameterValue(LaunchConfiguration("use_sim_time"), value_type=bool)
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
                "range_points",
                default_value="range_points",
                description="Metric anchors: a lidar's points or a registered depth image.",
            ),
            DeclareLaunchArgument(
                "model", default_value="cooper-nano", description="Model folder: name or path."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([config, "cooper.yaml"]),
                description="Parameters of the node.",
            ),
            DeclareLaunchArgument(
                "use_sim_time", default_value="false", description="true = time from /clock."
            ),
            DeclareLaunchArgument(
                "view", default_value="false", description="true = serve the web page."
            ),
            DeclareLaunchArgument("port", default_value="8080", description="Port of the page."),
            SetEnvironmentVariable("FASTRTPS_DEFAULT_PROFILES_FILE", profile),
            SetEnvironmentVariable("FASTDDS_DEFAULT_PROFILES_FILE", profile),
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
                        "use_sim_time": sim_time,
                    },
                ],
                remappings=[
                    ("image", LaunchConfiguration("image")),
                    ("image/compressed", [LaunchConfiguration("image"), "/compressed"]),
                    ("camera_info", LaunchConfiguration("camera_info")),
                    ("range_points", LaunchConfiguration("range_points")),
                ],
            ),
            Node(
                package="cooper_ros",
                executable="cooper_view",
                name="cooper_view",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[
                    {
                        "port": ParameterValue(LaunchConfiguration("port"), value_type=int),
                        "use_sim_time": sim_time,
                    }
                ],
                condition=IfCondition(LaunchConfiguration("view")),
            ),
        ]
    )
