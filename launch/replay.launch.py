"""A recorded bag and the perception node on the bag's time; ends with the bag.

    ros2 launch cooper_ros replay.launch.py bag:=$HOME/run7 image:=/camera/image_raw \
        camera_info:=/camera/camera_info view:=true loop:=true
"""

from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

from launch import LaunchDescription


def generate_launch_description() -> LaunchDescription:
    """The node reads the bag's topics under their own names; the player makes the clock."""
    share = FindPackageShare("cooper_ros")
    loop = LaunchConfiguration("loop")
    return LaunchDescription(
        [
            DeclareLaunchArgument("bag", description="Bag folder, or a .mcap or .db3 file."),
            DeclareLaunchArgument(
                "image", default_value="/image", description="Image topic in the bag."
            ),
            DeclareLaunchArgument(
                "camera_info", default_value="/camera_info", description="Its calibration."
            ),
            DeclareLaunchArgument(
                "image_transport", default_value="", description="raw or compressed."
            ),
            DeclareLaunchArgument(
                "range_points",
                default_value="/range_points",
                description="Metric anchors in the bag: points or a registered depth image.",
            ),
            DeclareLaunchArgument(
                "external_depth",
                default_value="/external_depth",
                description="Registered depth image in the bag, used with depth_source:=external.",
            ),
            DeclareLaunchArgument("rate", default_value="1.0", description="Speed, 1 = recorded."),
            DeclareLaunchArgument("start", default_value="0.0", description="Skip so much [s]."),
            DeclareLaunchArgument(
                "loop", default_value="false", description="true = again and again."
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
                    "use_sim_time": "true",
                    "view": LaunchConfiguration("view"),
                    "port": LaunchConfiguration("port"),
                }.items(),
            ),
            Node(
                package="cooper_ros",
                executable="cooper_bag",
                output="screen",
                arguments=[
                    "play",
                    LaunchConfiguration("bag"),
                    "--rate",
                    LaunchConfiguration("rate"),
                    "--start",
                    LaunchConfiguration("start"),
                    PythonExpression(
                        ["'--loop' if '", loop, "' == 'true' else '--no-loop'"]
                    ),
                    "--clock",
                    "100",
                    "--wait",
                    "60",
                ],
                on_exit=Shutdown(reason="the bag has ended"),
            ),
        ]
    )
