"""``dspctl keygen``, ``sign`` and ``verify --public-key``: what is said and what is refused."""

import os
import select
import shutil
import stat
import sys
import termios
import time
from pathlib import Path

import pytest

from dspctl.exporter import export
from dspctl.runtime.bundle import open_bundle
from dspctl.runtime.bundle.manifest import SIGNATURES
from tests.cli.conftest import ROOT, Call
from tests.cli.test_errors import MAIN, assert_sentence
from tests.runtime.policies import make_policy
from tests.runtime.test_trust import PBKDF2, encrypted


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundles") / "bundle"
    return export(make_policy(), "onnx", path, version="1.2").path


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.fixture
def key(call: Call, tmp_path: Path) -> Path:
    """The name of a pair of keys, without suffix."""
    assert call("keygen", tmp_path / "ops").code == 0
    return tmp_path / "ops"


def test_make_a_key_sign_and_verify(call: Call, bundle: Path, tmp_path: Path) -> None:
    made = call("keygen", tmp_path / "ops")
    assert made.code == 0, made.stderr
    assert "not encrypted: whoever reads it can sign" in made.stdout
    assert stat.S_IMODE((tmp_path / "ops.key").stat().st_mode) == 0o600
    signed = call("sign", bundle, "--key", tmp_path / "ops.key")
    assert signed.code == 0, signed.stderr
    assert f"next: dspctl verify {bundle} --public-key" in signed.stdout
    report = call("sign", bundle, "--key", tmp_path / "ops.key", "--json").json()
    assert report["changed"] is False
    for shown in (made.stdout, signed.stdout):
        assert f"\nkey id: {report['key_id']}\n" in shown  # whole, to be copied
    assert report["digest"] == open_bundle(bundle).digest
    assert report["signers"] == [report["key_id"]]
    words = ["--public-key", tmp_path / "ops.pem", "--require-signature"]
    done = call("verify", bundle, *words)
    assert done.code == 0, done.stderr
    assert f"passed:by{report['key_id']}" in unfolded(done.stdout)
    found = call("verify", bundle, *words, "--json").json()
    assert found["signed_by"] == [report["key_id"]]
    assert report["key_id"] in unfolded(call("inspect", bundle).stdout)


def unfolded(text: str) -> str:
    """What a table shows, wherever it breaks its lines."""
    return "".join(text.split())


def test_verifying_without_a_key_says_that_nothing_was_checked(
    call: Call, bundle: Path, key: Path
) -> None:
    assert "signature" not in call("verify", bundle).stdout
    call("sign", bundle, "--key", key.with_suffix(".key"))
    done = call("verify", bundle)
    assert done.code == 0
    assert "not checked, no key is given" in done.stdout


@pytest.mark.parametrize(
    ("passphrase", "said"),
    [("x" * 1024, "1024 bytes, and OpenSSL takes at most 1023"), ("\udcff", "no text in UTF-8")],
)
def test_a_passphrase_that_cannot_be_one(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, passphrase: str, said: str
) -> None:
    monkeypatch.setenv("DSPCTL_PASSPHRASE", passphrase)
    assert_sentence(call("keygen", tmp_path / "ops", "--encrypt"), said)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("DSPCTL_PASSPHRASE", "x" * 1023)
    assert call("keygen", tmp_path / "ops", "--encrypt").code == 0


def test_a_key_whose_passphrase_takes_for_ever(call: Call, bundle: Path, tmp_path: Path) -> None:
    key = tmp_path / "slow.key"
    key.write_bytes(encrypted(PBKDF2, 2**40))
    key.chmod(0o600)
    assert_sentence(call("sign", bundle, "--key", key), "in reasonable time", "pkcs8 -topk8")
    assert not (bundle / SIGNATURES).exists()


def test_an_unsigned_bundle(call: Call, bundle: Path, key: Path) -> None:
    public = key.with_suffix(".pem")
    done = call("verify", bundle, "--public-key", public)
    assert done.code == 0
    assert "none in the bundle, and none is required" in done.stdout
    done = call("verify", bundle, "--public-key", public, "--require-signature")
    assert_sentence(done, str(bundle), "no signature", "dspctl sign")


def test_a_folder_of_keys_and_a_revoked_one(
    call: Call, bundle: Path, key: Path, tmp_path: Path
) -> None:
    signed = call("sign", bundle, "--key", key.with_suffix(".key"), "--json").json()
    (tmp_path / "trusted").mkdir()
    shutil.copy(key.with_suffix(".pem"), tmp_path / "trusted")
    assert call("keygen", tmp_path / "trusted" / "new").code == 0
    words = ["verify", bundle, "--public-key", tmp_path / "trusted", "--revoked"]
    revoked = tmp_path / "revoked.txt"
    revoked.write_text("# none\n")
    assert call(*words, revoked).code == 0
    revoked.write_text(f"{signed['key_id']} # lost\n")
    assert_sentence(call(*words, revoked), signed["key_id"], "not revoked", "in use")
    call("sign", bundle, "--key", tmp_path / "trusted" / "new.key")
    assert call(*words, revoked).code == 0
    assert_sentence(call(*words, tmp_path / "gone"), "gone cannot be read")


def test_a_bundle_of_somebody_else(call: Call, bundle: Path, key: Path, tmp_path: Path) -> None:
    other = call("keygen", tmp_path / "other", "--json").json()
    call("sign", bundle, "--key", other["private"])
    done = call("verify", bundle, "--public-key", key.with_suffix(".pem"))
    assert_sentence(done, other["key_id"], "none of which is trusted", "--public-key")
    both = ["--public-key", key.with_suffix(".pem"), "--public-key", other["public"]]
    assert call("verify", bundle, *both).code == 0


@pytest.mark.parametrize("command", ["verify", "rollback", "deploy"])
@pytest.mark.parametrize("words", [["--require-signature"], ["--revoked", "FILE"]])
def test_asking_for_a_signature_without_a_key(
    call: Call, bundle: Path, tmp_path: Path, command: str, words: list[str]
) -> None:
    to = ["--to", tmp_path / "to"] if command == "deploy" else []
    assert_sentence(call(command, bundle, *to, *words), words[0], "--public-key PEM")


def test_a_key_that_others_can_read(call: Call, bundle: Path, key: Path) -> None:
    private = key.with_suffix(".key")
    private.chmod(0o644)
    assert_sentence(call("sign", bundle, "--key", private), f"chmod 600 {private}", "0644")
    assert not (bundle / SIGNATURES).exists()


def test_what_is_no_key_and_what_is_no_bundle(
    call: Call, bundle: Path, key: Path, tmp_path: Path
) -> None:
    public = key.with_suffix(".pem")
    assert_sentence(call("sign", bundle, "--key", tmp_path / "gone"), "gone cannot be read")
    for mode in (0o644, 0o600):
        public.chmod(mode)
        assert_sentence(call("sign", bundle, "--key", public), "is a public key", ".key file")
    other = tmp_path / "other.key"
    other.touch(mode=0o600)
    assert_sentence(call("sign", bundle, "--key", other), "no private Ed25519 key", "keygen")
    done = call("verify", bundle, "--public-key", key.with_suffix(".key"))
    assert_sentence(done, "is a private key", "revoke it")
    done = call("sign", tmp_path, "--key", key.with_suffix(".key"))
    assert_sentence(done, "no bundle here", "dspctl export")
    (bundle / "README.md").write_text("other")
    done = call("sign", bundle, "--key", key.with_suffix(".key"))
    assert_sentence(done, "README.md is not the file that was exported")
    assert not (bundle / SIGNATURES).exists()


def test_a_key_is_never_replaced(call: Call, key: Path) -> None:
    before = key.with_suffix(".key").read_bytes()
    assert_sentence(call("keygen", key), "a key is never replaced", "another name")
    key.with_suffix(".key").unlink()
    assert_sentence(call("keygen", key), f"{key}.pem exists")
    assert before
    assert not key.with_suffix(".key").exists()


def test_an_encrypted_key_and_its_passphrase(
    call: Call, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, private = tmp_path / "safe", tmp_path / "safe.key"
    assert_sentence(call("keygen", name, "--encrypt"), "no passphrase", "--passphrase-env")
    monkeypatch.setenv("DSPCTL_PASSPHRASE", "correct horse")
    done = call("keygen", name, "--encrypt")
    assert done.code == 0, done.stderr
    assert "correct horse" not in done.stdout + done.stderr
    assert call("sign", bundle, "--key", private).code == 0
    monkeypatch.setenv("DSPCTL_PASSPHRASE", "wrong")
    assert_sentence(call("sign", bundle, "--key", private), "does not open", "another one")
    monkeypatch.setenv("OTHER", "correct horse")
    assert call("sign", bundle, "--key", private, "--passphrase-env", "OTHER").code == 0
    monkeypatch.delenv("DSPCTL_PASSPHRASE")
    done = call("sign", bundle, "--key", private)
    assert_sentence(done, "is encrypted", "--passphrase-env")


def test_the_passphrase_is_asked_for_on_a_terminal(bundle: Path, tmp_path: Path) -> None:
    """Typed into a pseudo-terminal, where it must not be shown."""
    import pty

    from dspctl.runtime.trust.keys import make_key

    made = make_key(tmp_path / "safe", "correct horse")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("DSPCTL_PASSPHRASE", None)
    words = ["-m", "dspctl", "sign", str(bundle), "--key", str(made.private)]
    child, terminal = pty.fork()
    if child == 0:
        os.execve(sys.executable, [sys.executable, *words], environment)
    deadline = time.monotonic() + 60
    while termios.tcgetattr(terminal)[3] & termios.ECHO:  # what is typed before, it throws away
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.write(terminal, b"correct horse\n")
    shown = b""
    while select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
        try:
            shown += os.read(terminal, 1000)
        except OSError:  # so Linux says that the other side is closed
            break
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, shown.decode()
    assert b"Passphrase" in shown
    assert b"correct horse" not in shown
    assert open_bundle(bundle).signatures[0].key_id == made.key_id


@pytest.mark.parametrize("command", ["keygen", "sign", "verify", "deploy", "rollback"])
def test_without_the_package(
    spawn: Call, bundle: Path, key: Path, tmp_path: Path, command: str
) -> None:
    private, public = f"{key}.key", f"{key}.pem"
    lines: dict[str, list[str | Path]] = {
        "keygen": [tmp_path / "other"],
        "sign": [bundle, "--key", private],
        "verify": [bundle, "--public-key", public],
        "deploy": [bundle, "--to", tmp_path / "to", "--public-key", public],
        "rollback": [tmp_path / "to", "--public-key", public],
    }
    words = lines[command]
    without = "import sys; sys.modules['cryptography'] = None\n"
    if command == "rollback":
        # Twice, so that there is something to go back to.
        for seed in (1, 2):
            out = export(make_policy(seed), "onnx", tmp_path / f"b{seed}", version=str(seed)).path
            assert spawn("deploy", out, "--to", tmp_path / "to", code=without + MAIN).code == 0
    done = spawn(command, *words, code=without + MAIN)
    assert_sentence(done, "'cryptography'", "pip install 'dspctl[sign]'")
    assert not (tmp_path / "other.key").exists()
