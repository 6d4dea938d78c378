"""Which OpenGL draws the simulated camera: the one place that decides, and that setup asks.

Run as a file by `tools/system_packages.sh`, with the system's Python and before anything is
installed, so it needs the standard library alone: prints the renderer that works, or, with exit
code 1, the Debian packages that would help, one choice a line.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

CHOICES = ("osmesa", "egl")
"""In this order: with OSMesa a scene gives the same pixels on all machines, GPU or not."""

PACKAGES = {
    "osmesa": "libosmesa6",
    "egl": "libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0",
}
LIBRARIES = {"osmesa": ("OSMesa",), "egl": ("EGL", "OpenGL|GL")}
"""Shared libraries that each needs; one of those between bars."""

OSMESA_RGBA = 0x1908
EGL_PLATFORM_DEVICE, EGL_OPENGL_API = 0x313F, 0x30A2
EGL_SURFACE_TYPE, EGL_PBUFFER_BIT = 0x3033, 1
EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT = 0x3040, 8
EGL_NONE = 0x3038
MAX_DEVICES = 16


class NoRendererError(RuntimeError):
    """No OpenGL that can draw without a screen; the text says what to install."""


def choose() -> str:
    """The renderer to use: "osmesa", "egl" or "glfw".

    $MUJOCO_GL, where it is set, is followed or refused; otherwise the first of `CHOICES` that
    works. Raises NoRendererError with what is missing.
    """
    wanted = _wanted()
    if wanted == "glfw":
        return wanted  # needs a screen; whether there is one shows when it is used
    problems = {name: problem(name) for name in _candidates(wanted)}
    for name, found in problems.items():
        if not found:
            return name
    reasons = "; ".join(f"{name}: {found}" for name, found in problems.items())
    install = " or ".join(f"`apt install {PACKAGES[name]}`" for name in problems)
    if wanted:
        others = [name for name in CHOICES if name != wanted and not problem(name)]
        instead = f"; or unset MUJOCO_GL: {others[0]} works here" if others else ""
        raise NoRendererError(f"MUJOCO_GL={wanted} cannot draw ({reasons}): {install}{instead}")
    raise NoRendererError(f"no OpenGL to draw the simulated camera with ({reasons}): {install}")


def _wanted() -> str:
    """$MUJOCO_GL, or what $PYOPENGL_PLATFORM leaves possible; "" for any."""
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted in ("", *CHOICES, "glfw"):
        return wanted
    names = ", ".join(CHOICES)
    raise NoRendererError(f"MUJOCO_GL={wanted}: choose one of {names}, glfw, or unset it")


def _candidates(wanted: str) -> tuple[str, ...]:
    # MuJoCo refuses any other than the platform that PyOpenGL is told to use.
    fixed = os.environ.get("PYOPENGL_PLATFORM", "").lower()
    if fixed in CHOICES and wanted in ("", fixed):
        return (fixed,)
    return (wanted,) if wanted else CHOICES


@functools.cache
def problem(name: str) -> str:
    """Why the renderer cannot be used in this process, "" if it can. Makes a context to see."""
    for names in LIBRARIES[name]:
        if not any(_load(library) for library in names.split("|")):
            return f"lib{names.split('|')[0]}.so is not installed"
    tries: dict[str, Callable[[], str]] = {"osmesa": _try_osmesa, "egl": _try_egl}
    return tries[name]()


def _load(name: str) -> Any:
    """A shared library by its short name, as PyOpenGL looks for it; None if there is none."""
    for suffix in ("", *(f".{number}" for number in range(9, -1, -1))):
        try:
            return ctypes.CDLL(f"lib{name}.so{suffix}")
        except OSError:
            continue
    return None


def _try_osmesa() -> str:
    library = _load("OSMesa")
    library.OSMesaCreateContextExt.restype = ctypes.c_void_p
    context = library.OSMesaCreateContextExt(OSMESA_RGBA, 24, 8, 0, None)
    if not context:
        return "it makes no context"
    library.OSMesaDestroyContext(ctypes.c_void_p(context))
    return ""


def _try_egl() -> str:
    """As MuJoCo does it, but without PyOpenGL, which after a failure is of no use to others.

    Displays stay initialised: others in this process may be drawing on them.
    """
    egl = _load("EGL")
    for name in ("eglGetProcAddress", "eglCreateContext"):
        getattr(egl, name).restype = ctypes.c_void_p
    query = egl.eglGetProcAddress(b"eglQueryDevicesEXT")
    get_display = egl.eglGetProcAddress(b"eglGetPlatformDisplayEXT")
    if not query or not get_display:
        return "the driver cannot draw without a screen"
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    devices, count = (pointer * MAX_DEVICES)(), integer()
    ctypes.CFUNCTYPE(integer, integer, pointer, pointer)(query)(
        MAX_DEVICES, devices, ctypes.byref(count)
    )
    display_of = ctypes.CFUNCTYPE(pointer, integer, pointer, pointer)(get_display)
    for device in devices[: count.value]:
        display = display_of(EGL_PLATFORM_DEVICE, device, None)
        if display and egl.eglInitialize(pointer(display), None, None):
            # MuJoCo takes the first that starts, so no other counts
            return "" if _makes_context(egl, pointer(display)) else "it makes no context"
    return "no driver (of Mesa or of the GPU) is installed"


def _makes_context(egl: Any, display: ctypes.c_void_p) -> bool:
    wanted = (EGL_SURFACE_TYPE, EGL_PBUFFER_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT, EGL_NONE)
    config, count = ctypes.c_void_p(), ctypes.c_int()
    attributes = (ctypes.c_int * len(wanted))(*wanted)
    egl.eglChooseConfig(display, attributes, ctypes.byref(config), 1, ctypes.byref(count))
    egl.eglBindAPI(EGL_OPENGL_API)
    context = egl.eglCreateContext(display, config, None, None) if count.value else None
    if context:
        egl.eglDestroyContext(display, ctypes.c_void_p(context))
    return bool(context)


def main() -> int:
    """Print the renderer that works (0), or what to install, one choice a line (1)."""
    try:
        print(choose())
        return 0
    except NoRendererError as error:
        print(error, file=sys.stderr)
        wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
        for name in _candidates(wanted):
            print(PACKAGES.get(name, ""))
        return 1


if __name__ == "__main__":
    sys.exit(main())
