"""The API key: from the environment, or from the system's keyring where the extra ``keyring`` is installed.

It is never read from a settings file, which ends up in dotfiles' repositories, and never shown.
"""

from __future__ import annotations

import asyncio
import logging
import os

logger = logging.getLogger(__name__)

SERVICE = "midline"
# A locked keyring may ask the user for its password.
_KEYRING_SECONDS = 60.0


async def find_key(variable: str, origin: str) -> str:
    """The key for the server at ``origin``; empty where there is none.

    Args:
        variable: the environment's variable to look in first.
        origin: the user's name of the entry in the keyring (``keyring set midline http://192.168.1.20:8080``).
    """
    if key := os.environ.get(variable, "").strip():
        return key
    try:
        async with asyncio.timeout(_KEYRING_SECONDS):
            return await asyncio.to_thread(_from_keyring, origin)
    except TimeoutError:
        logger.warning("the keyring did not answer")
        return ""


def _from_keyring(origin: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError, NoKeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(SERVICE, origin) or ""
    except NoKeyringError:  # as on a machine without a desktop
        return ""
    except KeyringError as error:
        logger.warning("the keyring can't be read: %s", type(error).__name__)
        return ""
