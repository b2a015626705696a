"""The way to the loopback Discord: certificates of its own authority, and a CONNECT proxy that leads only there."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import trustme

VOICE_HOSTS = ("lisbon1.discord.media", "oslo2.discord.media")
HOSTS = ("discord.com", "gateway.discord.gg", "cdn.discordapp.com", *VOICE_HOSTS)


class Authority:
    """Signs the names of Discord. Only who is given `root` believes it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.root = folder / "root.pem"
        authority.cert_pem.write_to_path(str(self.root))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1", "localhost", *HOSTS).configure_cert(self.server)


class Proxy:
    """An HTTP proxy that knows CONNECT only and refuses every host that is not in `HOSTS`."""

    def __init__(self, target_port: int) -> None:
        self._target = target_port
        self._server: asyncio.Server | None = None
        self.refused: list[str] = []
        self.led_to: list[str] = []
        """Hosts, in order."""

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
            method, target, _ = head.split(" ", 2)
            if method != "CONNECT" or target.rpartition(":")[0] not in HOSTS:
                self.refused.append(target)
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            self.led_to.append(target.rpartition(":")[0])
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(pump(reader, back))
                tasks.create_task(pump(there, writer))
        except (asyncio.IncompleteReadError, OSError):
            return
        finally:
            writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()
