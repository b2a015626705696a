"""TLS for both sides: TLS 1.3, own CA, both certificates verified. Standard library only; `keys.py` makes the files."""

from __future__ import annotations

import ssl
from pathlib import Path

from agent_wsl.errors import TlsError


def agent_side(folder: Path) -> ssl.SSLContext:
    """Raises TlsError."""
    return _context(ssl.PROTOCOL_TLS_SERVER, folder, "agent")


def client_side(folder: Path) -> ssl.SSLContext:
    """The agent's certificate must name the host that was dialled. Raises TlsError."""
    return _context(ssl.PROTOCOL_TLS_CLIENT, folder, "bot")


def _context(protocol: int, folder: Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    for file in ("ca.pem", f"{name}.pem", f"{name}.key"):
        if not (folder / file).is_file():
            raise TlsError(f"{folder / file} is missing: make it with `python -m agent_wsl keys {folder}`.")
    try:
        context.load_verify_locations(folder / "ca.pem")
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"The certificates in {folder} cannot be used ({error}): make new ones with `keys`.") from None
    return context
