"""What is installed: one package, `interlock`, typed, beside a host's own `api` and `engine`."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from interlock.engine import __all__ as engine_names
from tests.kit.settings import PYTHON, ROOT, process_environment

USES = """
import api, engine, interlock, interlock.api.cli, interlock.engine
assert (api.WHOSE, engine.WHOSE) == ("the host's", "the host's")
from interlock import Interlock, InterlockPlugin, Settings, asgi
print(interlock.__file__)
"""


def build(kind: str, source: Path, into: Path) -> Path:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", into], cwd=source, check=True)
    (made,) = into.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


def tops(wheel: Path) -> set[str]:
    """The top-level names that a wheel installs."""
    with zipfile.ZipFile(wheel) as opened:
        return {name.partition("/")[0] for name in opened.namelist() if ".dist-info/" not in name}


def use(place: Path, host: Path) -> str:
    """Import it from where it was put, in a host that has packages of our old names."""
    for name in ("api", "engine"):
        (host / name).mkdir(parents=True)
        (host / name / "__init__.py").write_text('WHOSE = "the host\'s"\n', "utf-8")
    environ = process_environment({}) | {"PYTHONPATH": f"{host}:{place}"}
    run = subprocess.run([*PYTHON, "-c", USES], cwd=host, env=environ, check=True, capture_output=True, text=True)
    return run.stdout.strip()


@pytest.mark.parametrize("by_way_of", ["wheel", "sdist"])
def test_what_is_built(by_way_of: str, tmp_path: Path) -> None:
    """The wheel, made of the checkout or of the source archive, holds `interlock` and nothing else."""
    source = ROOT
    if by_way_of == "sdist":
        with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as archive:
            archive.extractall(tmp_path / "source", filter="data")
        (source,) = (tmp_path / "source").iterdir()
    wheel = build("wheel", source, tmp_path / "dist")
    assert tops(wheel) == {"interlock"}
    place = tmp_path / "place"
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(place)
    kept = {"interlock/py.typed", "interlock/engine/store/statements.sql", "interlock/api/demo/plans.toml"}
    assert all((place / name).exists() for name in kept)
    assert use(place, tmp_path / "host").startswith(str(place))


def test_an_editable_install(tmp_path: Path) -> None:
    """It brings a path to one folder in which only `interlock` lies."""
    program = f"from hatchling.build import build_editable; print(build_editable({str(tmp_path)!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        (pointer,) = [name for name in opened.namelist() if name.endswith(".pth")]
        place = Path(opened.read(pointer).decode().strip())
    assert {path.name for path in place.iterdir()} - {"__pycache__"} == {"interlock"}
    assert use(place, tmp_path / "host").startswith(str(place))


def test_the_package_has_the_engines_names() -> None:
    """Whatever the engine's face lists, `interlock` has too, fetched when it is asked for."""
    import interlock

    names: list[str] = vars(interlock).get("__all__") or interlock.__getattr__("__all__")
    assert set(engine_names) <= set(names)
    for name in names:
        assert getattr(interlock, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = interlock.nothing  # pyright: ignore
