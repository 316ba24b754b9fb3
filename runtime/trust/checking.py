"""Does somebody trusted vouch for these bytes?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dspctl.errors import BundleSignatureInvalid, BundleUnsigned, KeyRevoked, KeyUntrusted
from dspctl.runtime.bundle.signatures import message_of
from dspctl.runtime.trust.ed25519 import holds
from dspctl.runtime.trust.keys import public_keys, revoked_keys

if TYPE_CHECKING:
    from dspctl.runtime.bundle.signatures import Signature
    from dspctl.runtime.trust.policy import Trust


def check_signatures(
    manifest: bytes, signatures: Sequence[Signature], trust: Trust
) -> tuple[str, ...]:
    """Check what lies beside a manifest.

    Args:
        manifest: the bytes of ``manifest.json``.
        signatures: what was found.
        trust: whose signatures count.

    Returns:
        The ids of the trusted keys that signed; none only where *trust* does not require one and
        there is no signature.

    Raises:
        BundleUnsigned: there is no signature.
        BundleSignatureInvalid: trusted keys are named, and none of their signatures holds.
        KeyRevoked: of the trusted keys only revoked ones are named.
        KeyUntrusted: no trusted key is named.
        KeyProblem, MissingExtra: the keys cannot be read, or nothing is there to check with.
    """
    trusted = public_keys(trust.keys)
    revoked = frozenset() if trust.revoked is None else revoked_keys(Path(trust.revoked))
    if not signatures:
        if trust.required:
            raise BundleUnsigned(
                "the bundle carries no signature, and one is required: let its maker run  "
                "dspctl sign BUNDLE --key KEY  or do not use it"
            )
        return ()
    counted = [each for each in signatures if each.key_id in trusted and each.key_id not in revoked]
    message = message_of(manifest)
    good = [each for each in counted if holds(trusted[each.key_id], each.value, message)]
    if good:
        return tuple(each.key_id for each in good)
    named = ", ".join(each.key_id for each in signatures)
    if counted:
        raise BundleSignatureInvalid(
            f"the signature by {', '.join(each.key_id for each in counted)} is not one of this "
            "manifest: do not use the bundle; copy it again from where it was made"
        )
    if any(each.key_id in revoked for each in signatures):
        raise KeyRevoked(
            f"signed by {named}, and no key among these is trusted and not revoked: have the "
            "bundle looked at and signed with a key that is in use"
        )
    raise KeyUntrusted(
        f"signed by {named}, none of which is trusted here: give the maker's public key with "
        "--public-key, if you know that it is theirs"
    )
