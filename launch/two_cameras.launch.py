"""One perception node on two cameras, front and rear; they share one model.

    ros2 launch cooper_ros two_cameras.launch.py front_image:=/cam0/image_raw \
        front_camera_info:=/cam0/camera_info rear_image:=/cam1/image_raw \
        rear_camera_info:=/cam1/camera_info
    ros2 launch cooper_ros two_cameras.launch.py sim:=true view:=true     # simulated ones

The maps are below /cooper/front and /cooper/rear; a question names its camera.
"""

from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """Launch arguments, the node, the page and two simulated cameras if wanted."""
    config = PathJoinSubstitution([FindPackageShare("cooper_ros"), "config"])
    profile = PathJoinSubstitution([config, "fastdds_shm.xml"])
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "front_image", default_value="/front/image", description="Front camera's images."
            ),
            DeclareLaunchArgument(
                "front_camera_info",
                default_value="/front/camera_info",
                description="Calibration of the front camera.",
            ),
            DeclareLaunchArgument(
                "rear_image", default_value="/rear/image", description="Images of the rear camera."
            ),
            DeclareLaunchArgument(
                "rear_camera_info",
                default_value="/rear/camera_info",
                description="Calibration of the rear camera.",
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
                "sim", default_value="false", description="true = two simulated cameras."
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
                output="screen",
                parameters=[
                    LaunchConfiguration("params_file"),
                    {"model": LaunchConfiguration("model"), "cameras": "front, rear"},
                ],
                remappings=[
                    ("front/image", LaunchConfiguration("front_image")),
                    ("front/camera_info", LaunchConfiguration("front_camera_info")),
                    ("rear/image", LaunchConfiguration("rear_image")),
                    ("rear/camera_info", LaunchConfiguration("rear_camera_info")),
                ],
            ),
            Node(
                package="cooper_ros",
                executable="cooper_view",
                name="cooper_view",
                output="screen",
                parameters=[{"port": ParameterValue(LaunchConfiguration("port"), value_type=int)}],
                condition=IfCondition(LaunchConfiguration("view")),
            ),
            *[
                Node(
                    package="cooper_ros",
                    executable="cooper_sim_camera",
                    name="sim_camera",
                    namespace=name,
                    output="screen",
                    parameters=[{"seed": seed, "rate": 5.0}],
                    condition=IfCondition(LaunchConfiguration("sim")),
                )
                for seed, name in enumerate(("front", "rear"))
            ],
        ]
    )
