"""``dspctl deploy`` and ``rollback``: what is printed, and each refusal as a sentence."""

import fcntl
import shutil
from pathlib import Path

import pytest

from dspctl.exporter import export
from dspctl.runtime.bundle import open_bundle
from tests.cli.conftest import Call
from tests.cli.test_errors import assert_sentence, contents
from tests.runtime.policies import make_policy


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Versions 1.9 and 1.10 of one policy."""
    folder = tmp_path_factory.mktemp("bundles")
    one, two = (
        export(make_policy(seed), "onnx", folder / version, version=version).path
        for seed, version in ((1, "1.9"), (2, "1.10"))
    )
    return one, two


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "vehicle"


def test_deploy_twice_and_go_back(call: Call, exported: tuple[Path, Path], to: Path) -> None:
    done = call("deploy", exported[0], "--to", to)
    assert done.code == 0, done.stderr
    for part in ("version 1.9", "nothing", "onnxruntime, numpy", "nobody was asked for"):
        assert part in done.stdout
    assert "next:" not in done.stdout  # there is no way back yet
    done = call("deploy", exported[1], "--to", to)
    assert f"next: dspctl rollback {to}" in done.stdout
    assert open_bundle(to / "current").manifest.version == "1.10"
    assert "as before" in call("deploy", exported[1], "--to", to).stdout
    report = call("rollback", to, "--json").json()
    assert (report["version"], report["changed"]) == ("1.9", True)
    assert open_bundle(to / "current").digest == report["digest"]
    assert call("verify", to / "current").code == 0
    assert "version 1.10" in call("rollback", to).stdout


def test_deploy_reports_as_json(call: Call, exported: tuple[Path, Path], to: Path) -> None:
    reports = [call("deploy", path, "--to", to, "--json").json() for path in exported]
    assert [report["version"] for report in reports] == ["1.9", "1.10"]
    assert reports[1]["before"] == Path(reports[0]["path"]).name
    assert Path(reports[1]["path"]).resolve() == (to / "current").resolve()


def test_what_is_refused_is_a_sentence(
    call: Call, exported: tuple[Path, Path], to: Path, tmp_path: Path
) -> None:
    old, new = exported
    assert_sentence(call("rollback", to), "nothing is deployed", "dspctl deploy BUNDLE --to")
    assert call("deploy", new, "--to", to).code == 0
    before = contents(to)
    done = call("deploy", old, "--to", to)
    assert_sentence(done, "runs test_v1 1.10", "the older 1.9", "--allow-downgrade")
    assert_sentence(call("rollback", to), "nothing to go back to")
    damaged = Path(shutil.copytree(old, tmp_path / "damaged"))
    (damaged / "README.md").write_text("other")
    assert_sentence(call("deploy", damaged, "--to", to), "README.md is not the file")
    assert_sentence(call("deploy", old, "--to", old), "no folder of deployments")
    other = export(make_policy(3), "onnx", tmp_path / "other", name="lander", version="9").path
    assert_sentence(call("deploy", other, "--to", to), "lander", "a folder of its own")
    with (to / ".lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert_sentence(call("deploy", new, "--to", to), "another process deploys", "wait")
    assert call("deploy", old, "--to", to, "--keep", "1").code == 2
    assert contents(to) == before
    assert call("deploy", old, "--to", to, "--allow-downgrade").code == 0
    assert open_bundle(to / "current").manifest.version == "1.9"


def test_only_what_is_signed(
    call: Call, exported: tuple[Path, Path], to: Path, tmp_path: Path
) -> None:
    one, two = (Path(shutil.copytree(path, tmp_path / path.name)) for path in exported)
    call("keygen", tmp_path / "ops")
    words = ["--public-key", tmp_path / "ops.pem", "--require-signature"]
    assert_sentence(call("deploy", one, "--to", to, *words), "no signature", "dspctl sign")
    assert not to.exists()
    for bundle in (one, two):
        key = call("sign", bundle, "--key", tmp_path / "ops.key", "--json").json()["key_id"]
        report = call("deploy", bundle, "--to", to, *words, "--json").json()
        assert report["signed_by"] == [key]
    (tmp_path / "revoked").write_text(key)
    done = call("rollback", to, *words, "--revoked", tmp_path / "revoked")
    assert_sentence(done, "cannot run again", key)
    assert call("rollback", to, *words).code == 0
