"""Model folders are found wherever they may lie, and errors say where one looked."""

from __future__ import annotations

from pathlib import Path

import pytest

from cooper_ros.core import paths
from cooper_ros.core.errors import ModelFolderError


def model(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / paths.MANIFEST).write_text("{}")
    return folder


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No models but those that a test makes."""
    monkeypatch.setattr(paths, "checkout_directory", lambda: None)
    monkeypatch.setattr(paths.sys, "prefix", str(tmp_path / "python"))
    monkeypatch.delenv(paths.MODELS_VARIABLE, raising=False)
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    monkeypatch.setattr(paths, "__file__", str(tmp_path / "a/b/c/d/e/f/g/h/paths.py"))
    monkeypatch.chdir(tmp_path)


def test_a_given_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model(tmp_path / "mine" / "cooper-nano")
    assert paths.find_model_folder(folder) == folder
    assert paths.find_model_folder(str(folder)) == folder
    monkeypatch.chdir(folder.parent)
    assert paths.find_model_folder("cooper-nano").samefile(folder)


def test_places_in_order_of_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_share = model(tmp_path / "python/share/cooper_ros/engines/cooper-nano")
    assert paths.find_model_folder() == in_share
    sourced = model(tmp_path / "ros/share/cooper_ros/engines/cooper-nano")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'ros'}:{tmp_path / 'python'}")
    assert paths.find_model_folder() == sourced
    in_checkout = model(tmp_path / "checkout/engines/cooper-nano")
    monkeypatch.setattr(paths, "checkout_directory", lambda: tmp_path / "checkout")
    assert paths.find_model_folder() == in_checkout
    listed = model(tmp_path / "second/cooper-nano")
    monkeypatch.setenv(paths.MODELS_VARIABLE, f"{tmp_path / 'first'}:{tmp_path / 'second'}")
    assert paths.find_model_folder("cooper-nano") == listed


def test_an_unknown_name_lists_the_known_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model(tmp_path / "models/cooper-nano")
    monkeypatch.setenv(paths.MODELS_VARIABLE, str(tmp_path / "models"))
    with pytest.raises(ModelFolderError, match=r"'cooper-huge'; known: cooper-nano") as error:
        paths.find_model_folder("cooper-huge")
    assert str(tmp_path / "models") in str(error.value)


def test_a_path_that_is_no_model_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="missing does not exist"):
        paths.find_model_folder(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFolderError, match=r"empty has no manifest\.json"):
        paths.find_model_folder(tmp_path / "empty")


def test_cache_directory_follows_the_xdg_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert paths.user_cache_dir() == tmp_path / "cache/cooper_ros"
    assert paths.user_cache_dir().is_dir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for unusable in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unusable)
        assert paths.user_cache_dir() == tmp_path / "home/.cache/cooper_ros"


def test_shared_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config/x\.xml is not installed"):
        paths.find_shared("config/x.xml")
    file = tmp_path / "python/share/cooper_ros/config/x.xml"
    file.parent.mkdir(parents=True)
    file.touch()
    assert paths.find_shared("config/x.xml") == file
