"""Who made a bundle: keys, signing, and the check of a signature. Only this package knows keys.

Nothing of it is loaded before somebody asks for a signature: opening and hashing need NumPy and
the standard library, signatures ``cryptography``.
"""

from dspctl.runtime.trust.policy import Trust

__all__ = ["Trust"]
