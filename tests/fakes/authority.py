"""A private certificate authority, and a server's certificate of it, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path


class Authority:
    """`pem` is its certificate; `server()` is what a server at 127.0.0.1 or gpu.example listens with."""

    def __init__(self, folder: Path, name: str = "Private authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-subj", f"/CN={name}", "-keyout", "ca.key", "-out", "ca.pem",
        )  # fmt: skip
        self._openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=127.0.0.1",
            "-keyout", "server.key", "-out", "server.csr",
        )  # fmt: skip
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:gpu.example\n")
        self._openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-extfile", "names", "-out", "server.pem",
        )  # fmt: skip
        self.pem = (folder / "ca.pem").read_text()
        self.key_pem = (folder / "ca.key").read_text()

    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self._folder / "server.pem", self._folder / "server.key")
        return context

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=60)
