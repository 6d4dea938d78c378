"""One perception node on two cameras, front and rear; they share one model.

    ros2 launch cooper_ros two_cameras.launch.py front_image:=/cam0/image_raw \
        front_camera_info:=/cam0/camera_info rear_image:=/cam1/image_raw \
        rear_camera_info:=/cam1/camera_info
    ros2 launch cooper_ros two_cameras.launch.py sim:=true view:=true     # simulated ones

The maps are below /cooper/front and /cooper/rear; a question names its camera.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

CAMERAS = ("front", "rear")
INPUTS = {
    "image": "Images",
    "camera_info": "Calibration",
    "range_points": "Metric anchors: a lidar's points, or a registered depth image",
    "external_depth": "Registered depth image, used with depth_source:=external,",
}
OVERRIDES = {"model": str, "image_transport": str, "depth_source": str, "use_sim_time": bool}
"""Arguments that become parameters of the node, if they are given."""


def start_node(context):
    """The node with the parameters that were given."""
    given = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, kind in OVERRIDES.items()
        if LaunchConfiguration(name).perform(context)
    }
    return [
        Node(
            package="cooper_ros",
            executable="cooper_node",
            name="cooper",
            output="screen",
            parameters=[
                LaunchConfiguration("params_file"),
                {"cameras": ", ".join(CAMERAS), **given},
            ],
            remappings=[
                (f"{camera}/{topic}", LaunchConfiguration(f"{camera}_{topic}"))
                for camera in CAMERAS
                for topic in INPUTS
            ],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Launch arguments, the node, the page and two simulated cameras if wanted."""
    config = PathJoinSubstitution([FindPackageShare("cooper_ros"), "config"])
    profile = PathJoinSubstitution([config, "fastdds_shm.xml"])
    return LaunchDescription(
        [
            *[
                DeclareLaunchArgument(
                    f"{camera}_{topic}",
                    default_value=f"/{camera}/{topic}",
                    description=f"{text} of the {camera} camera.",
                )
                for camera in CAMERAS
                for topic, text in INPUTS.items()
            ],
            DeclareLaunchArgument(
                "model", default_value="", description="Model folder: name or path."
            ),
            DeclareLaunchArgument(
                "image_transport",
                default_value="",
                description="raw, or compressed: reads what lies beside the images as JPEG or PNG.",
            ),
            DeclareLaunchArgument(
                "depth_source", default_value="", description="model or external."
            ),
            DeclareLaunchArgument(
                "use_sim_time", default_value="", description="true = time from /clock."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([config, "cooper.yaml"]),
                description="Parameters of the node; they hold where no argument is given.",
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
            OpaqueFunction(function=start_node),
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
                for seed, name in enumerate(CAMERAS)
            ],
        ]
    )
