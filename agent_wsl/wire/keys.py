"""`python -m agent_wsl keys DIR`: a CA of your own and a certificate for each side, for use beyond loopback."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent_wsl.errors import TlsError

LIFETIME = timedelta(days=3650)


def write(folder: Path, hosts: list[str]) -> list[Path]:
    """The files written. The CA's key is thrown away: nobody can make a third certificate. Raises TlsError."""
    names = [f"{side}.{kind}" for side in ("agent", "bot") for kind in ("pem", "key")]
    taken = [name for name in ("ca.pem", *names) if (folder / name).exists()]
    if taken:
        raise TlsError(f"{folder / taken[0]} exists already; take another folder, or delete the old files first.")
    ca_key = ec.generate_private_key(ec.SECP256R1())
    ca = _certificate("Sidetone CA", ca_key, None, ca_key, None, [])
    files = {"ca.pem": _pem(ca)}
    sides = {"agent": ExtendedKeyUsageOID.SERVER_AUTH, "bot": ExtendedKeyUsageOID.CLIENT_AUTH}
    for side, usage in sides.items():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(f"Sidetone {side}", key, ca, ca_key, usage, hosts if side == "agent" else [])
        files[f"{side}.pem"] = _pem(certificate)
        files[f"{side}.key"] = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, data in files.items():
            _write_private(folder / name, data)
    except OSError as error:
        raise TlsError(f"{folder} cannot be written ({error.strerror}): take a folder of yours.") from None
    return [folder / name for name in files]


def _write_private(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(data)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    issuer_key: ec.EllipticCurvePrivateKey,
    usage: x509.ObjectIdentifier | None,
    hosts: list[str],
) -> x509.Certificate:
    """A CA when there is no issuer."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # WSL's clock lags behind after the PC has slept.
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=0 if issuer is None else None), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False)
        .add_extension(_key_usage(ca=issuer is None), True)
    )
    if usage:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general_name(host) for host in hosts]), False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key_usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host.encode("idna").decode("ascii"))
    except UnicodeError:
        raise TlsError(f"{host} is no address and no name of a machine: name one that the bot can reach.") from None
