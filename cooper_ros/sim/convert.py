"""Writes the committed CC0 models and their NOTICE out of the furniture package.

`python -m cooper_ros.sim.convert assets` in a checkout, on a machine with `sweethome3d-furniture`.
The training and test sets depend on the result: convert again only to change the asset set.
"""

from __future__ import annotations

import argparse
import re
import zipfile
from pathlib import Path

from cooper_ros.sim.catalogue import CatalogueEntry, catalogue, convert, is_committed
from cooper_ros.sim.model_file import save_model

MAX_FACES = 12000

_HEAD = """# Object models in this folder

The files in `objects/` are 3D models from the Debian package `sweethome3d-furniture` (archive
`BlendSwap-CC-0.sh3f`): models of Blend Swap contributors, cleaned and converted to OBJ by
Emmanuel Puybaret (eTeks), then converted for this package by `cooper_ros.sim.convert` (metres, z
up, textures of 128 pixels). All of them are in the public domain, **Creative Commons Zero 1.0**
(https://creativecommons.org/publicdomain/zero/1.0/). "Stated by" names the file of the archive
that says so for the single model; for the others the archive's own LICENSE.TXT does.

They appear in validation and test scenes and before the simulated camera, never in training.

| file | model | author | source | licence | stated by |
|---|---|---|---|---|---|
"""


def _licence(entry: CatalogueEntry) -> tuple[str, str]:
    """(source page, file that states CC0) of one model; raises ValueError if none does."""
    folder = entry.path.rsplit("/", 1)[0] + "/"
    with zipfile.ZipFile(entry.archive) as archive:
        own = [
            name
            for name in archive.namelist()
            if name.startswith(folder) and "license" in name.lower()
        ]
        stated = own[0] if own else "LICENSE.TXT"
        text = archive.read(stated).decode("latin1")
    if "Creative Commons Zero" not in text:
        raise ValueError(f"{entry.key}: {stated} does not say Creative Commons Zero")
    page = re.search(r"blendswap\.com/blends?/(?:view/)?\d+", text)
    return (page[0] if page else ""), stated


def write_committed(folder: Path) -> list[Path]:
    """Convert the committed models into `folder`/objects and write `folder`/NOTICE.md."""
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    written, rows = [], []
    for entry in catalogue():
        if not is_committed(entry):
            continue
        source, stated = _licence(entry)
        model = convert(entry, MAX_FACES)
        if model is None:
            raise ValueError(f"{entry.key} has more than {MAX_FACES} faces")
        path = folder / "objects" / f"{entry.label}-{entry.key.split('/')[1]}.npz"
        save_model(model, path)
        written.append(path)
        rows.append(
            f"| {path.name} | {entry.name} | {entry.creator} | {source} | CC0 1.0 | `{stated}` |"
        )
    (folder / "NOTICE.md").write_text(_HEAD + "\n".join(sorted(rows)) + "\n", encoding="utf-8")
    return written


def main(argv: list[str] | None = None) -> int:
    """Entry of `python -m cooper_ros.sim.convert`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the checkout's assets folder")
    written = write_committed(parser.parse_args(argv).folder)
    size = sum(path.stat().st_size for path in written) / 1e6
    print(f"{len(written)} models, {size:.1f} MB")
    return 0 if written else 1


if __name__ == "__main__":
    raise SystemExit(main())
