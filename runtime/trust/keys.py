"""Key files: private ones as closed as ssh wants them, public ones alone or in folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from dspctl.errors import (
    KeyExposed,
    KeyFormat,
    KeyNotFound,
    KeyPassphrase,
    OutputExists,
    WriteFailed,
)
from dspctl.runtime.bundle.signatures import is_key_id
from dspctl.runtime.files import write_bytes
from dspctl.runtime.trust import ed25519
from dspctl.runtime.trust.pkcs8 import TooCostly
from dspctl.runtime.untrusted import open_plain

PUBLIC_SUFFIX = ".pem"
PRIVATE_SUFFIX = ".key"

_LARGEST_BYTES = 1 << 16
_LARGEST_LIST_BYTES = 1 << 20
_LONGEST_PASSPHRASE_BYTES = 1023
_MOST_KEYS = 1000


class KeyPair(NamedTuple):
    """What `make_key` wrote."""

    private: Path
    public: Path
    key_id: str


def make_key(name: Path, passphrase: str | None = None) -> KeyPair:
    """Write ``NAME.key``, which its owner alone can read, and ``NAME.pem``.

    Args:
        name: path without suffix.
        passphrase: encrypts the private key; None leaves it plain.

    Raises:
        OutputExists: one of the files exists; a key is never replaced.
        KeyFormat: the path has no name.
        KeyPassphrase: the passphrase is empty, too long, or no text.
        MissingExtra: ``cryptography`` is not installed.
        WriteFailed: the folder cannot be written.
    """
    if name.name in ("", ".."):
        raise KeyFormat(f"{name} is no name for a key: give one such as ops, or keys/ops")
    private, public = (name.with_name(name.name + end) for end in (PRIVATE_SUFFIX, PUBLIC_SUFFIX))
    for path in (private, public):
        if os.path.lexists(path):
            raise OutputExists(
                f"{path} exists, and a key is never replaced: choose another name, or move it away"
            )
    if passphrase is not None and not passphrase:
        raise KeyPassphrase(
            "there is no passphrase, or an empty one: put one into the environment variable that "
            "--passphrase-env names, or leave out --encrypt"
        )
    if passphrase is not None:
        _check_encryptable(passphrase)
    seed = ed25519.new_private_key()
    raw = ed25519.public_of(seed)
    write_bytes(private, ed25519.pem_from_private(seed, passphrase), mode=0o600)
    try:
        write_bytes(public, ed25519.pem_from_public(raw))
    except WriteFailed:
        private.unlink(missing_ok=True)  # nobody has it yet, and it would bar the second try
        raise
    return KeyPair(private, public, ed25519.key_id_of(raw))


def _check_encryptable(passphrase: str) -> None:
    try:
        size = len(passphrase.encode())
    except UnicodeEncodeError:  # bytes of the environment that are no characters
        raise KeyPassphrase(
            "the passphrase is no text in UTF-8: put another one into the environment variable "
            "that --passphrase-env names"
        ) from None
    if size > _LONGEST_PASSPHRASE_BYTES:
        raise KeyPassphrase(
            f"the passphrase has {size} bytes, and OpenSSL takes at most "
            f"{_LONGEST_PASSPHRASE_BYTES}: choose a shorter one"
        )


def private_key_from_file(path: Path, passphrase: Callable[[], str | None]) -> bytes:
    """The private key at *path*.

    Args:
        path: a PKCS8 file.
        passphrase: asked for it, only where the key is encrypted; None where there is none.

    Raises:
        KeyNotFound: there is no such file, or it cannot be read.
        KeyExposed: others than its owner may read it.
        KeyFormat: it is no private Ed25519 key, or one whose passphrase takes too long to try.
        KeyPassphrase: it is encrypted, and the passphrase is not given or wrong.
        MissingExtra: ``cryptography`` is not installed.
    """
    data = _read(path, private=True)
    try:
        return ed25519.private_from_pem(data, None)
    except ed25519.NeedsPassphrase:
        given = passphrase()
    except TooCostly as error:
        raise KeyFormat(
            f"{path} cannot be opened in reasonable time ({error}): encrypt it again with  openssl "
            "pkcs8 -topk8"
        ) from None
    except ValueError:
        raise KeyFormat(
            f"{path} is no private Ed25519 key in PEM: make one with  dspctl keygen NAME"
        ) from None
    if given is None:
        raise KeyPassphrase(
            f"{path} is encrypted, and nobody can be asked here: put its passphrase into the "
            "environment variable that --passphrase-env names"
        )
    try:
        return ed25519.private_from_pem(data, given)
    except ValueError:
        raise KeyPassphrase(f"the passphrase does not open {path}: try another one") from None


def public_keys(paths: Iterable[str | os.PathLike[str]]) -> Mapping[str, bytes]:
    """Key id → raw public key, of PEM files and of folders that hold ``.pem`` files.

    Raises:
        KeyNotFound: a path does not exist or cannot be read, or a folder holds no key.
        KeyFormat: a file is no public Ed25519 key, or a folder holds more than 1,000.
        MissingExtra: ``cryptography`` is not installed.
    """
    found = {}
    for each in paths:
        path = Path(each)
        files = [path]
        try:
            is_folder = path.is_dir()
            if is_folder:
                files = sorted(entry for entry in path.iterdir() if entry.suffix == PUBLIC_SUFFIX)
        except OSError as error:
            raise _unreadable(path, error) from error
        if is_folder:
            if len(files) > _MOST_KEYS:
                raise KeyFormat(
                    f"{path} holds {len(files)} {PUBLIC_SUFFIX} files, and at most {_MOST_KEYS} "
                    "are read: name a folder of the keys that are trusted"
                )
            if not files:
                raise KeyNotFound(f"{path} holds no {PUBLIC_SUFFIX} file: put public keys there")
        for file in files:
            raw = _public_key(file)
            found[ed25519.key_id_of(raw)] = raw
    if not found:
        raise KeyNotFound("no public key is given: name one, or a folder of them")
    return found


def revoked_keys(path: Path) -> frozenset[str]:
    """The key ids in a file: one a line, ``#`` begins a comment.

    Raises:
        KeyNotFound: there is no such file: a list that is gone must not revoke nothing.
        KeyFormat: a line is no key id.
    """
    data = _read(path, limit_bytes=_LARGEST_LIST_BYTES)
    found = set()
    for number, line in enumerate(data.decode(errors="replace").splitlines(), 1):
        word = line.partition("#")[0].strip().lower()
        if word and not is_key_id(word):
            raise KeyFormat(
                f"{path}, line {number}: {word[:80]!r} is not the id of a key: write the 64 "
                "hex digits that  dspctl keygen  and  dspctl sign  print"
            )
        if word:
            found.add(word)
    return frozenset(found)


def _public_key(path: Path) -> bytes:
    data = _read(path)
    if b"PRIVATE KEY" in data:
        raise KeyFormat(
            f"{path} is a private key, which has no place where signatures are checked: give the "
            "public one, and if others could read this one, revoke it"
        )
    try:
        return ed25519.public_from_pem(data)
    except ed25519.WeakKey:
        raise KeyFormat(
            f"{path} is a key with which anybody can sign: remove it, ask who put it there, and "
            "take the .pem file that  dspctl keygen  wrote"
        ) from None
    except ValueError:
        raise KeyFormat(
            f"{path} is no public Ed25519 key in PEM: make one with  openssl pkey -pubout  from "
            "the private key, or take the .pem file that  dspctl keygen  wrote"
        ) from None


def _unreadable(path: Path, error: OSError) -> KeyNotFound:
    return KeyNotFound(
        f"{path} cannot be read ({error.strerror or error}): check the path and its permissions"
    )


def _read(path: Path, *, private: bool = False, limit_bytes: int = _LARGEST_BYTES) -> bytes:
    try:
        with open_plain(path) as file:
            mode = os.fstat(file.fileno()).st_mode  # of what is read, not of what has the name now
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    if private and b"PUBLIC KEY" in data and b"PRIVATE KEY" not in data:
        raise KeyFormat(
            f"{path} is a public key, with which signatures are checked: give the private one, the "
            f"{PRIVATE_SUFFIX} file that  dspctl keygen  wrote"
        )
    if private and mode & 0o077:
        raise KeyExposed(
            f"others can read {path} (mode {mode & 0o777:04o}): run  chmod 600 {path}  and think "
            "of whether somebody has"
        )
    if len(data) > limit_bytes:
        raise KeyFormat(f"{path} is too large to be what it should be: check the path")
    return data
