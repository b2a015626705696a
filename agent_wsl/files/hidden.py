"""Files that hold keys: neither read, nor searched, nor shown to commands, wherever in an allowed directory. Pure."""

from __future__ import annotations

from collections.abc import Sequence

PLAIN_ENV = frozenset({".env.example", ".env.sample", ".env.template", ".env.dist"})
FILES = frozenset({".netrc", ".git-credentials", ".pypirc", ".pgpass", ".htpasswd"})
FOLDERS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gh", ".config/gcloud", ".password-store",
    ".local/share/keyrings", ".mozilla", ".config/google-chrome", ".config/chromium",
)  # fmt: skip
"""At the top of a root, for one that is a home directory."""


def is_secret(name: str) -> bool:
    """`.env`, `.env.local`, ..., but not the examples. Without regard to case, as on a Windows drive."""
    name = name.lower()
    return name in FILES or ((name == ".env" or name.startswith(".env.")) and name not in PLAIN_ENV)


def holds_keys(names: Sequence[str]) -> bool:
    """Whether a path, as its names below its root, is such a file or lies in such a folder."""
    below = "/".join(names).lower() + "/"
    return bool(names) and (is_secret(names[-1]) or any(below.startswith(f"{folder}/") for folder in FOLDERS))
