"""On PYTHONPATH: libraries named in $HIDDEN_LIBRARIES (as "EGL OSMesa") cannot be loaded."""

import ctypes
import os

_hidden = tuple(f"lib{name}.so" for name in os.environ.get("HIDDEN_LIBRARIES", "").split())
_open = ctypes.CDLL.__init__


def _refuse(self, name, *args, **kwargs):
    if _hidden and str(name or "").rpartition("/")[2].startswith(_hidden):
        raise OSError(f"{name}: cannot open shared object file (hidden by a test)")
    _open(self, name, *args, **kwargs)


ctypes.CDLL.__init__ = _refuse
