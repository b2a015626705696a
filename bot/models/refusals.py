"""Turns what pip, npm and the hub's client print when they fail into one sentence."""

from __future__ import annotations

import re

from bot.errors import DiskError, DownloadError, SidetoneError

DISK = ("no space left on device", "enospc", "errno 28", "not enough space on the disk", "winerror 112")
CERTIFICATE = (
    "certificate_verify_failed",
    "certificate verify failed",
    "sslerror",
    "unable_to_get_issuer_cert",
    "unable_to_verify_leaf_signature",
    "self_signed_cert_in_chain",
    "self-signed certificate",
)
NETWORK = (
    "connection broken",
    "newconnectionerror",
    "connecttimeout",
    "readtimeout",
    "proxyerror",
    "connecterror",
    "connectionerror",
    "localentrynotfounderror",
    "offlinemodeisenabled",
    "name resolution",
    "network is unreachable",
    "connection refused",
    "connection reset",
    "timed out",
    "enotfound",
    "econnrefused",
    "econnreset",
    "etimedout",
    "eai_again",
    "err_socket_timeout",
    "syscall connect",
)
REFUSED = ("401 client error", "403 client error", "gatedrepoerror", "code e401", "code e403", "403 forbidden")
ABSENT = (
    "no matching distribution",
    "could not find a version",
    "404",
    "etarget",
    "repositorynotfounderror",
    "entrynotfounderror",
    "revisionnotfounderror",
)


SAYS_NOTHING = "a complete log of this run"
"""npm's last line."""


def explain(package: str, output: str) -> SidetoneError:
    """The error for `package`, by what the program printed. The order matters: without a network pip ends with "no
    matching distribution" too."""
    text = output.lower()

    def said(signs: tuple[str, ...]) -> bool:
        return any(sign in text for sign in signs)

    if said(DISK):
        return DiskError(f"The disk became full while {package} was fetched. Make room and fetch again.")
    if said(CERTIFICATE):
        return DownloadError(
            f"{package}: the server's certificate is not trusted here; behind a company proxy, give pip its "
            "certificate (pip config set global.cert FILE)."
        )
    if said(REFUSED):
        return DownloadError(f"{package}: the server refused access; a proxy or a log-in may stand in between.")
    if said(NETWORK):
        return DownloadError(f"{package}: no network, or the server did not answer.")
    if said(ABSENT):
        return DownloadError(f"{package}: not found there.")
    lines = [line.strip() for line in output.splitlines() if line.strip() and SAYS_NOTHING not in line.lower()]
    errors = [line for line in lines if re.search(r"error|err!", line, re.IGNORECASE)]
    return DownloadError(f"{package}: {(errors or lines or ['it failed without a word'])[-1][:200]}")
