"""The perception node on any camera that runs already, with the web page if wanted.

    ros2 launch cooper_ros cooper.launch.py image:=/camera/color/image_raw \
        camera_info:=/camera/color/camera_info view:=true

An argument that is not given leaves the parameter to `params_file`; one that is given wins. Files
that include this one take its arguments too.

The Fast DDS profile gives shared-memory segments that hold a whole image; start the camera driver
with the same profile, or best-effort images get lost. Fast DDS 2 (Jazzy) and 3 (Kilted) read it
under two names.
"""

from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription

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
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            parameters=[LaunchConfiguration("params_file"), *([given] if given else [])],
            remappings=[
                (name, LaunchConfiguration(name))
                for name in ("image", "camera_info", "range_points", "external_depth")
            ],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Launch arguments, the transport profile, the node and the page."""
    config = PathJoinSubstitution([FindPackageShare("cooper_ros"), "config"])
    profile = PathJoinSubstitution([config, "fastdds_shm.xml"])
    sim_time = PythonExpression(["'", LaunchConfiguration("use_sim_time"), "' == 'true'"])
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
                "image_transport",
                default_value="",
                description="raw, or compressed: reads what lies beside `image` as JPEG or PNG.",
            ),
            DeclareLaunchArgument(
                "range_points",
                default_value="range_points",
                description="Metric anchors: a lidar's points or a registered depth image.",
            ),
            DeclareLaunchArgument(
                "external_depth",
                default_value="external_depth",
                description="Registered depth image, used with depth_source:=external.",
            ),
            DeclareLaunchArgument(
                "depth_source", default_value="", description="model or external."
            ),
            DeclareLaunchArgument(
                "model", default_value="", description="Model folder: name or path."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=PathJoinSubstitution([config, "cooper.yaml"]),
                description="Parameters of the node; they hold where no argument is given.",
            ),
            DeclareLaunchArgument(
                "use_sim_time", default_value="", description="true = time from /clock."
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
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[
                    {
                        "port": ParameterValue(LaunchConfiguration("port"), value_type=int),
                        "use_sim_time": ParameterValue(sim_time, value_type=bool),
                    }
                ],
                condition=IfCondition(LaunchConfiguration("view")),
            ),
        ]
    )
