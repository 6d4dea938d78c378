"""The simulated robot camera and the perception node, as two processes.

    ros2 launch cooper_ros sim.launch.py seed:=3 view:=true
    ros2 service call /cooper/ask cooper_ros/srv/AskSpatial "{question: 'how far is the mug ?'}"
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The node's own launch file first: it sets the transport profile for both processes."""
    share = FindPackageShare("cooper_ros")
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="Namespace of both."),
            DeclareLaunchArgument("seed", default_value="0", description="Which world."),
            DeclareLaunchArgument("rate", default_value="10.0", description="Images per second."),
            DeclareLaunchArgument(
                "hold", default_value="false", description="true = the camera does not move."
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
                    "namespace": LaunchConfiguration("namespace"),
                    "view": LaunchConfiguration("view"),
                    "port": LaunchConfiguration("port"),
                }.items(),
            ),
            Node(
                package="cooper_ros",
                executable="cooper_sim_camera",
                name="sim_camera",
                namespace=LaunchConfiguration("namespace"),
                output="screen",
                parameters=[
                    {
                        "seed": ParameterValue(LaunchConfiguration("seed"), value_type=int),
                        "rate": ParameterValue(LaunchConfiguration("rate"), value_type=float),
                        "hold": ParameterValue(LaunchConfiguration("hold"), value_type=bool),
                    }
                ],
            ),
        ]
    )
