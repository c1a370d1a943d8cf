"""The receiver's certificates: from PEM files to what each of the two servers needs of them.

Taken up before the servers start, and anew when the files change; handshakes that begin afterwards use the new ones.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import grpc

from otlp_receiver.settings import ReceiverSettings
from telemetry import StartError

CERT_SETTING: Final = "MODELWATCH_RECEIVER__TLS_CERT_FILE"
KEY_SETTING: Final = "MODELWATCH_RECEIVER__TLS_KEY_FILE"
CLIENT_CA_SETTING: Final = "MODELWATCH_RECEIVER__TLS_CLIENT_CA_FILE"


class Certificates:
    """The certificate that both ports show, and the authorities of those that senders must show, if they must."""

    def __init__(self, cert_file: Path, key_file: Path, client_ca_file: Path | None) -> None:
        self.files: Mapping[str, Path] = {CERT_SETTING: cert_file, KEY_SETTING: key_file} | (
            {CLIENT_CA_SETTING: client_ca_file} if client_ca_file else {}
        )
        self._context: ssl.SSLContext | None = None
        self._grpc_configuration: Any = None

    def take_up(self, contents: tuple[bytes, ...]) -> None:
        """Use what the files hold now. Raises `StartError`, which names the file's setting, if it is of no use."""
        context = _context(self.files, dict(zip(self.files, contents, strict=True)))
        context.sni_callback = self._carry_on
        self._context = context
        chain, key, *client_ca = contents
        self._grpc_configuration = grpc.ssl_server_certificate_configuration(
            [(key, chain)], root_certificates=client_ca[0] if client_ca else None
        )

    def http_context(self) -> ssl.SSLContext:
        """Return the context for a listening socket; each handshake is carried on in the one that is current then.

        Each state of the files has a context of its own: one in use could learn of a new authority, but forget none.
        """
        if self._context is None:
            raise RuntimeError("the certificates are not taken up")
        return self._context

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for gRPC, which asks at each handshake whether there is something new."""
        in_use = self._grpc_configuration

        def changed() -> Any:
            nonlocal in_use
            if in_use is self._grpc_configuration:
                return None
            in_use = self._grpc_configuration
            return in_use

        return grpc.dynamic_ssl_server_credentials(
            in_use, changed, require_client_authentication=CLIENT_CA_SETTING in self.files
        )

    def _carry_on(self, connection: Any, _name: str | None, _initial: ssl.SSLContext) -> None:
        connection.context = self._context


def certificates_of(settings: ReceiverSettings) -> Certificates | None:
    """Return the certificates that the settings name, not read yet; `None` if the receiver speaks no TLS."""
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
    return Certificates(settings.tls_cert_file, settings.tls_key_file, settings.tls_client_ca_file)


def _context(files: Mapping[str, Path], contents: Mapping[str, bytes]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # Nothing is resumed: who may come in is judged at each handshake, by what the files hold then.
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    _require_certificates(CERT_SETTING, files, contents)
    _load_identity(context, files[CERT_SETTING], files[KEY_SETTING])
    if CLIENT_CA_SETTING in files:
        context.load_verify_locations(cadata=_require_certificates(CLIENT_CA_SETTING, files, contents))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _require_certificates(setting: str, files: Mapping[str, Path], contents: Mapping[str, bytes]) -> str:
    try:
        text = contents[setting].decode("ascii")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cadata=text)
    except (UnicodeDecodeError, ssl.SSLError, ValueError):
        raise StartError(f"{setting}: {files[setting]} holds no certificate in PEM form") from None
    return text


def _load_identity(context: ssl.SSLContext, cert_file: Path, key_file: Path) -> None:
    def refuse_password() -> str:
        raise StartError(f"{KEY_SETTING}: {key_file} is encrypted, and nobody is there to type its password")

    try:
        context.load_cert_chain(cert_file, key_file, password=refuse_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StartError(f"{KEY_SETTING}: {key_file} is not the key of the certificate in {cert_file}") from None
        raise StartError(f"{KEY_SETTING}: {key_file} holds no private key in PEM form") from None
    except OSError as error:
        raise StartError(f"{KEY_SETTING}: {key_file} or {cert_file} cannot be read ({error.strerror})") from None
