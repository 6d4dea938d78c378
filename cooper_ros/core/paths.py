"""Where model folders are found and where built engines go. Reads the file system only.

Model folders are looked for in this order: the given path, every directory of the environment
variable `COOPER_MODELS`, `engines/` of the checkout these sources are used from, and
`share/cooper_ros/engines` of every prefix this package may be installed in.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from cooper_ros.core.errors import CacheError, ModelFolderError

DEFAULT_MODEL = "cooper-nano"
MANIFEST = "manifest.json"
MODELS_VARIABLE = "COOPER_MODELS"
_PACKAGE = "cooper_ros"


def checkout_directory() -> Path | None:
    """Root of the source tree this module is used from, None if it is an installed copy."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "package.xml").is_file() and (root / "msg").is_dir() else None


def share_directories() -> list[Path]:
    """Existing `share/cooper_ros` directories: those of a sourced ROS, then of this Python."""
    prefixes = [Path(p) for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    prefixes.append(Path(sys.prefix))
    # an installed copy lies in <prefix>/lib/pythonX.Y/site-packages/cooper_ros/core
    prefixes.extend(Path(__file__).resolve().parents[3:7])
    found = (prefix / "share" / _PACKAGE for prefix in prefixes)
    return list(dict.fromkeys(path for path in found if path.is_dir()))


def find_shared(relative: str | Path) -> Path:
    """A file or folder that is installed with the package, e.g. `config/fastdds_shm.xml`.

    The checkout wins over installed copies. Raises FileNotFoundError that lists where it looked.
    """
    checkout = checkout_directory()
    roots = ([checkout] if checkout else []) + share_directories()
    for root in roots:
        if (root / relative).exists():
            return root / relative
    looked = ", ".join(map(str, roots)) or "nowhere: no share directory is installed"
    raise FileNotFoundError(f"{relative} is not installed with {_PACKAGE} (looked in {looked})")


def model_search_path() -> list[Path]:
    """Directories whose subdirectories may be model folders, in order of precedence."""
    listed = os.environ.get(MODELS_VARIABLE, "").split(os.pathsep)
    roots = [Path(entry).expanduser() for entry in listed if entry]
    checkout = checkout_directory()
    if checkout:
        roots.append(checkout / "engines")
    roots.extend(share / "engines" for share in share_directories())
    return roots


def find_model_folder(model: str | Path | None = None) -> Path:
    """The folder of a model given by path or by name (None: the default model).

    Raises ModelFolderError that says where it looked and which models there are.
    """
    wanted = str(model) if model else DEFAULT_MODEL
    direct = Path(wanted).expanduser()
    if (direct / MANIFEST).is_file():
        return direct
    if direct.is_dir() or len(direct.parts) > 1:
        state = f"has no {MANIFEST}" if direct.is_dir() else "does not exist"
        raise ModelFolderError(
            f"{direct} {state}: give the folder that `cooper export` wrote, or a model name"
        )
    roots = model_search_path()
    for root in roots:
        if (root / wanted / MANIFEST).is_file():
            return root / wanted
    known = sorted({path.parent.name for root in roots for path in root.glob(f"*/{MANIFEST}")})
    raise ModelFolderError(
        f"no model named {wanted!r}; known: {', '.join(known) or 'none'}. "
        f"Looked in {', '.join(map(str, roots)) or 'no directory'}; "
        f"set {MODELS_VARIABLE} to add directories"
    )


def user_cache_dir() -> Path:
    """Directory for what is built on this machine (engines), created on demand.

    `$XDG_CACHE_HOME/cooper_ros`, or `~/.cache/cooper_ros` if that variable is unset. Raises
    CacheError where neither can be written.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    # the XDG specification says to ignore relative paths
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        path = root / _PACKAGE
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the latter: no home folder is known
        raise CacheError(
            f"there is no folder for what is built here ({error}): set XDG_CACHE_HOME to a folder "
            "of this user"
        ) from error
    return path
