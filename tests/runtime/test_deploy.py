"""Installing bundles: what runs after each thing that can happen, and what is refused."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dspctl import errors
from dspctl.runtime import Trust, load
from dspctl.runtime.backends.numpy_runner import NumpyRunner
from dspctl.runtime.bundle import ONNX, manifest_of, open_bundle, write_bundle
from dspctl.runtime.bundle.manifest import POLICY, SIGNATURES
from dspctl.runtime.deploy import Deployed, deploy, rollback
from dspctl.runtime.policy.file import bytes_from_policy
from tests.runtime.keys import pair_in
from tests.runtime.policies import make_policy

ROOT = Path(__file__).resolve().parents[2]


def bundle_in(folder: Path, version: str, *, seed: int = 0, name: str = "pole") -> Path:
    """A small bundle with a program and a file in a folder of its own."""
    policy, path = make_policy(seed), folder / f"{name}-{version}-{seed}"
    path.mkdir(parents=True)
    files = {POLICY: bytes_from_policy(policy), "native/x/policy": b"\x7fELF", "README.md": b"#"}
    manifest = manifest_of(
        policy,
        files,
        name=name,
        version=version,
        targets=("cpu",),
        dspctl="0",
        executables=frozenset({"native/x/policy"}),
    )
    write_bundle(path, manifest, files)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and link below *folder*, the lock left out."""
    return {
        path.relative_to(folder).as_posix(): os.fsencode(path.readlink())
        if path.is_symlink()
        else path.read_bytes()
        for path in folder.rglob("*")
        if (path.is_symlink() or path.is_file()) and path.name != ".lock"
    }


def runs(to: Path) -> str:
    """The version that ``current`` leads to, opened whole."""
    return open_bundle(to / "current").manifest.version


def releases(to: Path) -> set[str]:
    return {path.name.rsplit("-", 1)[0] for path in (to / "releases").iterdir()}


@pytest.fixture
def to(tmp_path: Path) -> Path:
    return tmp_path / "vehicle" / "policies"


# --- what is installed ------------------------------------------------------------------------


def test_the_first_one(to: Path, tmp_path: Path) -> None:
    source = bundle_in(tmp_path, "1.9")
    before = tree(source)
    done = deploy(source, to)
    digest = open_bundle(source).digest
    assert done.path.name == f"pole-1.9-{digest[:16]}"
    assert (to / "current").readlink() == Path("releases", done.path.name)
    assert not os.path.lexists(to / "previous")
    assert tree(done.path) == tree(source) == before
    assert (done.path / "native/x/policy").stat().st_mode & 0o777 == 0o755
    assert (done.path / POLICY).stat().st_mode & 0o777 == 0o644
    assert (done.changed, done.before, done.removed) == (True, None, ())
    assert done.verification.passed
    assert {path.name for path in to.iterdir()} == {".lock", "current", "releases"}
    with load(to / "current", "numpy") as runner:
        assert runner.policy.environment == "Test-v1"


def test_the_folder_can_be_moved(to: Path, tmp_path: Path) -> None:
    """Its links are relative, so an image of a disk works wherever it is mounted."""
    deploy(bundle_in(tmp_path, "1"), to)
    to.rename(tmp_path / "elsewhere")
    assert runs(tmp_path / "elsewhere") == "1"


def test_the_next_one_and_back_and_forth(to: Path, tmp_path: Path) -> None:
    first = deploy(bundle_in(tmp_path, "1.9"), to)
    second = deploy(bundle_in(tmp_path, "1.10", seed=1), to)
    assert (runs(to), second.before) == ("1.10", first.release)
    assert (to / "previous").readlink() == Path("releases", first.path.name)
    back = rollback(to)
    assert (runs(to), back.release, back.before) == ("1.9", first.release, second.release)
    assert (to / "previous").readlink() == Path("releases", second.path.name)
    assert rollback(to).release == second.release
    assert runs(to) == "1.10"


def test_the_same_again_changes_nothing(to: Path, tmp_path: Path) -> None:
    source = bundle_in(tmp_path, "1")
    deploy(source, to)
    before, stamp = tree(to), (to / "current").lstat().st_ino
    again = deploy(source, to)
    assert (again.changed, again.before) == (False, None)
    assert (tree(to), (to / "current").lstat().st_ino) == (before, stamp)


def test_a_damaged_copy_is_replaced_by_the_same_bundle(to: Path, tmp_path: Path) -> None:
    source = bundle_in(tmp_path, "1")
    first = deploy(source, to)
    (first.path / "README.md").write_text("bitten")
    with pytest.raises(errors.BundleTampered):
        open_bundle(to / "current")
    second = deploy(source, to)
    assert second.changed
    assert second.path.name == f"{first.path.name}-1"
    assert tree(second.path) == tree(source)
    assert runs(to) == "1"


def test_an_installed_bundle_that_is_a_link_does_not_count(to: Path, tmp_path: Path) -> None:
    """What it leads to can be changed by whoever it belongs to."""
    source = bundle_in(tmp_path, "1")
    first = deploy(source, to)
    first.path.rename(tmp_path / "elsewhere")
    first.path.symlink_to(tmp_path / "elsewhere")
    second = deploy(source, to)
    assert second.path.name == f"{first.path.name}-1"
    assert not second.path.is_symlink()
    assert runs(to) == "1"


def test_as_many_stay_as_are_kept(to: Path, tmp_path: Path) -> None:
    for number in range(1, 7):
        keep = 4 if number < 6 else 2
        done = deploy(bundle_in(tmp_path, str(number), seed=number), to, keep=keep)
        # Folders that are made within one tick of the clock have the same age.
        os.utime(done.path, ns=(number * 10**9, number * 10**9))
        if number == 5:
            assert releases(to) == {"pole-2", "pole-3", "pole-4", "pole-5"}
            (to / "releases" / f"{done.path.name}.engines").mkdir()
            (to / "releases" / f"{done.before.folder if done.before else ''}.engines").mkdir()
    assert {name for name in releases(to) if "engines" not in name} == {"pole-5", "pole-6"}
    # A plan that was built here goes with its bundle, and no earlier.
    engines = [path.name for path in (to / "releases").iterdir() if path.suffix == ".engines"]
    assert [name.split("-")[1] for name in engines] == ["5"]
    assert done.before is not None
    assert len(done.removed) == 3
    rollback(to)
    assert runs(to) == "5"


def test_what_runs_is_kept_however_old_it_is(to: Path, tmp_path: Path) -> None:
    old = deploy(bundle_in(tmp_path, "1"), to)
    deploy(bundle_in(tmp_path, "2", seed=2), to)
    rollback(to)
    os.utime(old.path, ns=(0, 0))
    deploy(bundle_in(tmp_path, "3", seed=3), to)
    assert releases(to) == {"pole-1", "pole-3"}
    assert rollback(to).release == old.release


# --- what is refused --------------------------------------------------------------------------


def refused(error: type[Exception], match: str, to: Path, act: Callable[[], Any]) -> None:
    """It raises, and nothing is different afterwards."""
    before = tree(to.parent) if to.parent.exists() else None
    with pytest.raises(error, match=match):
        act()
    assert (tree(to.parent) if to.parent.exists() else None) == before


@pytest.mark.parametrize(
    ("first", "second"), [("1.10", "1.9"), ("2", "1.99.99"), ("1", "1"), ("1.0", "1"), ("1", "1.0")]
)
def test_what_is_not_later(to: Path, tmp_path: Path, first: str, second: str) -> None:
    deploy(bundle_in(tmp_path, first), to)
    other = bundle_in(tmp_path, second, seed=9)
    refused(errors.VersionNotLater, "--allow-downgrade", to, lambda: deploy(other, to))
    assert deploy(other, to, allow_downgrade=True).changed
    assert runs(to) == second


def test_a_replayed_signed_bundle(to: Path, tmp_path: Path) -> None:
    """Signed by the right key, as good as on its day, and older than what runs."""
    maker = pair_in(tmp_path / "keys")
    trust = Trust([maker.public])
    old, new = bundle_in(tmp_path, "1"), bundle_in(tmp_path, "2", seed=2)
    for each in (old, new):
        maker.sign(each)
    deploy(old, to, trust=trust)
    deploy(new, to, trust=trust)
    refused(errors.VersionNotLater, "the older 1", to, lambda: deploy(old, to, trust=trust))
    # Nor where what runs is damaged, so that its manifest cannot say its version any more.
    (to / "current" / "manifest.json").write_text("{}")
    refused(errors.VersionNotLater, "the older 1", to, lambda: deploy(old, to, trust=trust))


def test_signatures_are_asked_for_and_travel_along(to: Path, tmp_path: Path) -> None:
    maker, other = pair_in(tmp_path / "keys"), pair_in(tmp_path / "keys", "other")
    trust = Trust([maker.public])
    source = bundle_in(tmp_path, "1")
    refused(errors.BundleUnsigned, "no signature", to, lambda: deploy(source, to, trust=trust))
    other.sign(source)
    refused(errors.KeyUntrusted, "trusted", to, lambda: deploy(source, to, trust=trust))
    assert not to.exists()
    deploy(source, to)
    maker.sign(source)
    done = deploy(source, to, trust=trust)  # the same bundle with one more signature
    assert done.changed
    assert (done.path / SIGNATURES).read_bytes() == (source / SIGNATURES).read_bytes()
    assert load(to / "current", "numpy", trust=trust).backend == "numpy"


def test_a_revoked_key_bars_the_way_back(to: Path, tmp_path: Path) -> None:
    maker, new = pair_in(tmp_path / "keys"), pair_in(tmp_path / "keys", "new")
    revoked = tmp_path / "revoked"
    revoked.write_text("")
    trust = Trust([maker.public, new.public], revoked)
    one, two = bundle_in(tmp_path, "1"), bundle_in(tmp_path, "2", seed=2)
    lost = maker.sign(one).key_id
    new.sign(two)
    deploy(one, to, trust=trust)
    deploy(two, to, trust=trust)
    revoked.write_text(lost)
    refused(errors.KeyRevoked, "cannot run again", to, lambda: rollback(to, trust=trust))
    assert runs(to) == "2"
    assert rollback(to).changed  # nobody's signature was asked for


def test_another_policy(to: Path, tmp_path: Path) -> None:
    """A signed bundle for another purpose must not take the place of this one."""
    deploy(bundle_in(tmp_path, "1"), to)
    other = bundle_in(tmp_path, "9", name="lander")
    for more in (False, True):
        refused(
            errors.OtherPolicy,
            "a folder of its own",
            to,
            lambda more=more: deploy(other, to, allow_downgrade=more),  # type: ignore[misc]
        )


def test_a_damaged_bundle(to: Path, tmp_path: Path) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    bad = bundle_in(tmp_path, "2", seed=2)
    (bad / "README.md").write_text("!")
    refused(errors.BundleTampered, "README.md", to, lambda: deploy(bad, to))
    refused(errors.BundleNotFound, "dspctl export", to, lambda: deploy(tmp_path / "gone", to))
    refused(errors.BundleTampered, "README", to, lambda: deploy(bad, tmp_path / "fresh"))
    assert not (tmp_path / "fresh").exists()
    assert runs(to) == "1"


def test_a_bundle_that_computes_something_else_here(
    to: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    new = bundle_in(tmp_path, "2", seed=2)
    outputs = NumpyRunner.outputs
    with monkeypatch.context() as patch:
        patch.setattr(NumpyRunner, "outputs", lambda self, x: outputs(self, x) + 1)
        refused(errors.BundleUnfit, "does not work here", to, lambda: deploy(new, to))
    deploy(new, to)
    with monkeypatch.context() as patch:
        patch.setattr(NumpyRunner, "outputs", lambda self, x: outputs(self, x) + 1)
        refused(errors.BundleUnfit, "cannot run again", to, lambda: rollback(to))
    assert runs(to) == "2"


def test_a_damaged_earlier_bundle_is_not_gone_back_to(to: Path, tmp_path: Path) -> None:
    first = deploy(bundle_in(tmp_path, "1"), to)
    deploy(bundle_in(tmp_path, "2", seed=2), to)
    (first.path / "README.md").write_text("bitten")
    refused(errors.BundleTampered, "cannot run again", to, lambda: rollback(to))
    shutil.rmtree(first.path)
    refused(errors.BundleNotFound, "cannot run again", to, lambda: rollback(to))
    assert runs(to) == "2"


def test_nothing_to_go_back_to(to: Path, tmp_path: Path) -> None:
    refused(errors.NoDeployment, "dspctl deploy BUNDLE --to", to, lambda: rollback(to))
    assert not to.exists()
    deploy(bundle_in(tmp_path, "1"), to)
    refused(errors.NoPrevious, "nothing to go back to", to, lambda: rollback(to))


def test_folders_of_other_things(to: Path, tmp_path: Path) -> None:
    source = bundle_in(tmp_path, "1")
    to.mkdir(parents=True)
    (to / "thesis.txt").write_text("precious")
    refused(errors.NoDeployment, "thesis.txt", to, lambda: deploy(source, to))
    refused(errors.NoDeployment, "thesis.txt", to, lambda: rollback(to))
    refused(errors.NoDeployment, "README.md", to, lambda: deploy(source, source))
    (tmp_path / "file").write_text("")
    refused(errors.NoDeployment, "file", to, lambda: deploy(source, tmp_path / "file"))


@pytest.mark.parametrize("name", [".tmp-mine", ".tmp-current", ".tmp-0123abcd"])
def test_temporary_folders_of_others(to: Path, tmp_path: Path, name: str) -> None:
    """Only what a killed deployment leaves is removed: links, and folders in ``releases/``."""
    source = bundle_in(tmp_path, "1")
    (to / name).mkdir(parents=True)
    (to / name / "thesis.txt").write_text("precious")
    refused(errors.NoDeployment, name, to, lambda: deploy(source, to))


def test_what_killed_deployments_left_is_removed_and_no_more(to: Path, tmp_path: Path) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    (to / ".tmp-current").symlink_to("releases/pole")
    (to / ".tmp-previous").symlink_to("releases/pole")
    for name in (".tmp-mine", ".tmp-0123abcd"):
        (to / "releases" / name).mkdir()
    (to / "releases" / ".tmp-mine" / "thesis.txt").write_text("precious")
    deploy(bundle_in(tmp_path, "2", seed=2), to)
    assert {path.name for path in to.iterdir()} == {".lock", "current", "previous", "releases"}
    assert releases(to) == {"pole-1", "pole-2", ".tmp"}
    assert (to / "releases" / ".tmp-mine" / "thesis.txt").read_text() == "precious"
    assert not (to / "releases" / ".tmp-0123abcd").exists()


@pytest.mark.parametrize("target", ["releases/../../outside", "/etc", "releases/pole", "other"])
def test_links_that_dspctl_did_not_make(to: Path, tmp_path: Path, target: str) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    (to / "current").unlink()
    (to / "current").symlink_to(target)
    new = bundle_in(tmp_path, "2", seed=2)
    refused(errors.NoDeployment, "did not put it there", to, lambda: deploy(new, to))
    (to / "current").unlink()
    (to / "current").mkdir()
    refused(errors.NoDeployment, "is not a link", to, lambda: deploy(new, to))


def test_two_at_once(to: Path, tmp_path: Path) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    new = bundle_in(tmp_path, "2", seed=2)
    with (to / ".lock").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused(errors.DeployLocked, "another process", to, lambda: deploy(new, to))
        refused(errors.DeployLocked, "another process", to, lambda: rollback(to))
    assert deploy(new, to).changed


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks(
    to: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    monkeypatch.setattr("fcntl.flock", failing(code))
    assert deploy(bundle_in(tmp_path, "1"), to).changed
    assert "has no locks: see that no other process works there" in caplog.text


def test_a_lock_that_fails(to: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(bundle_in(tmp_path, "1"), to)
    new = bundle_in(tmp_path, "2", seed=2)
    monkeypatch.setattr("fcntl.flock", failing(errno.EIO))
    refused(errors.WriteFailed, "Input/output error", to, lambda: deploy(new, to))


def failing(code: int) -> Callable[[int, int], None]:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    return flock


# --- kills, full disks ------------------------------------------------------------------------

DRIVER = """
import errno, json, os, shutil, signal, sys
from pathlib import Path
from dspctl.errors import WriteFailed
from dspctl.runtime.deploy import deploy, rollback
from dspctl.runtime.bundle import open_bundle

how, what, template, new, work = sys.argv[1:]
template, new, work = Path(template), Path(new), Path(work)
EVENTS = {"open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.rmdir", "os.chmod"}
to, at, step = None, None, 0

def watch(event, args):
    global step
    if at is None or event not in EVENTS or not any(str(to) in str(arg) for arg in args):
        return
    if event == "open" and not (isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)):
        return  # reading changes nothing
    step += 1
    if step == at and how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if step == at:
        raise OSError(errno.ENOSPC, "No space left on device")

def act():
    return deploy(new, to) if what == "deploy" else rollback(to)

sys.addaudithook(watch)
report = []
for number in range(1, 1000):
    to = work / str(number)
    shutil.copytree(template, to, symlinks=True)
    child = os.fork()
    if child == 0:
        at = number
        try:
            act()
        except WriteFailed as error:
            os._exit(3)
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(4)
        os._exit(0 if step < number else 5)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    names = sorted(path.name for path in [*to.iterdir(), *(to / "releases").iterdir()])
    entry = {"status": status, "names": names}
    for link in ("current", "previous"):
        entry[link] = open_bundle(to / link).manifest.version if (to / link).exists() else None
    if what == "deploy":
        deploy(new, to)  # by the next process: nothing of the killed one is in its way
        names = sorted(path.name for path in [*to.iterdir(), *(to / "releases").iterdir()])
        entry["again"] = [open_bundle(to / "current").manifest.version, names]
    report.append(entry)
    shutil.rmtree(to)
    if status == 0:
        break
print(json.dumps(report))
"""


def drive(how: str, what: str, template: Path, new: Path, work: Path) -> list[dict[str, Any]]:
    """Once per step that changes the disk, it is killed there or told that the disk is full."""
    work.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, how, what, template, new, work],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    report: list[dict[str, Any]] = json.loads(done.stdout)
    return report


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Versions 1 and 2 deployed, and version 3 to be."""
    folder = tmp_path_factory.mktemp("deployed")
    for number in (1, 2):
        done = deploy(bundle_in(folder, str(number), seed=number), folder / "to")
        os.utime(done.path, ns=(number * 10**9, number * 10**9))
    return folder / "to", bundle_in(folder, "3", seed=3)


def plain(names: list[str]) -> set[str]:
    return {"-".join(name.split("-")[:2]) for name in names}


STANDING = {".lock", "current", "previous", "releases"}


def test_killed_at_any_step_one_of_both_runs(template: tuple[Path, Path], tmp_path: Path) -> None:
    report = drive("kill", "deploy", *template, tmp_path / "work")
    assert [entry["status"] for entry in report[:-1]] == [-9] * (len(report) - 1)
    assert len(report) > 15  # files, folders, links: each is a step
    order = [entry["current"] for entry in report]
    assert order == sorted(order)  # the old one up to a step, the new one from there on
    assert set(order) == {"2", "3"}
    assert {(entry["previous"], entry["current"]) for entry in report} <= {
        ("1", "2"),
        ("2", "2"),
        ("2", "3"),
    }
    for entry in report:
        version, names = entry["again"]
        assert version == "3"
        assert plain(names) == STANDING | {"pole-2", "pole-3"}


def test_a_full_disk_at_any_step_leaves_the_old_one(
    template: tuple[Path, Path], tmp_path: Path
) -> None:
    report = drive("full", "deploy", *template, tmp_path / "work")
    refusals = [entry for entry in report if entry["status"] == 3]
    assert len(refusals) > 12
    for entry in refusals:
        assert (entry["previous"], entry["current"]) == ("1", "2")
        assert plain(entry["names"]) == STANDING | {"pole-1", "pole-2"}
    # After the switch only old releases are removed, and that these stay is no failure.
    others = [entry for entry in report[:-1] if entry["status"] != 3]
    assert [entry["status"] for entry in others] == [5] * len(others)
    assert {entry["current"] for entry in others} <= {"3"}


def test_killed_on_the_way_back(template: tuple[Path, Path], tmp_path: Path) -> None:
    report = drive("kill", "rollback", *template, tmp_path / "work")
    assert len(report) > 3
    order = [entry["current"] for entry in report]
    assert order == sorted(order, reverse=True)
    assert set(order) == {"1", "2"}


def test_a_disk_that_is_full_in_the_middle_of_a_file(to: Path, tmp_path: Path) -> None:
    """Not told but met: the system writes no file longer than this process may write."""
    deploy(bundle_in(tmp_path, "1"), to)
    new, before = bundle_in(tmp_path, "2", seed=2), tree(to)
    program = (
        "import resource, sys; from pathlib import Path; from dspctl.runtime.deploy import deploy\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "deploy(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, new, to],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert "WriteFailed" in done.stderr
    assert "what ran before still does" in done.stderr
    assert os.strerror(errno.EFBIG) in done.stderr
    assert tree(to) == before
    assert deploy(new, to).changed


def test_a_program_that_starts_while_another_one_is_deployed(
    template: tuple[Path, Path], tmp_path: Path
) -> None:
    """There is no moment at which ``current`` leads nowhere, or to a bundle in parts."""
    to = Path(shutil.copytree(template[0], tmp_path / "to", symlinks=True))
    program = (
        "import sys; from pathlib import Path; from dspctl.runtime.bundle import open_bundle\n"
        "seen, path = set(), Path(sys.argv[1]) / 'current'\n"
        "print('ready', flush=True)\n"
        "while '9' not in seen: seen.add(open_bundle(path).manifest.version)\n"
        "print(sorted(seen))"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", program, to],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    for number in range(3, 10):
        # More are kept than are made meanwhile: what is removed is a matter of its own.
        deploy(bundle_in(tmp_path, str(number), seed=number), to, keep=20)
    out, _ = reader.communicate(timeout=60)
    assert reader.returncode == 0
    assert "'9'" in out


def test_what_is_reported(to: Path, tmp_path: Path) -> None:
    first = deploy(bundle_in(tmp_path, "1"), to)
    done: Deployed = deploy(bundle_in(tmp_path, "2", seed=2), to)
    value = json.loads(json.dumps(done.to_json()))
    assert value["path"] == str(done.path)
    assert (value["name"], value["version"], value["before"]) == ("pole", "2", first.path.name)
    assert value["digest"] == open_bundle(to / "current").digest
    assert ONNX not in tree(to)
