"""TLS and mutual TLS on both ports, and certificates that are renewed while the receiver runs."""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from pydantic import SecretStr, ValidationError
from structlog.testing import capture_logs

from otlp_receiver.component import OtlpReceiver, build
from otlp_receiver.settings import ReceiverSettings
from telemetry import Counters, StartError
from tests.otlp_receiver.conftest import GatedConsumer, StartReceiver
from tests.otlp_receiver.test_sdk_exporters import export, finished_spans
from tests.support.doubles import RecordingConsumer
from tests.support.otlp import server_spans, trace_request
from tests.support.otlp_senders import sender_of
from tests.support.ports import free_port, is_free
from tests.support.waiting import eventually

BODY = trace_request(server_spans(3)).SerializeToString()
CERT, KEY, CLIENT_CA = "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE"


@dataclass(frozen=True)
class Party:
    """A certificate and its key, as files and as bytes."""

    certificate: trustme.LeafCert
    cert_file: Path
    key_file: Path

    @property
    def chain(self) -> bytes:
        return b"".join(blob.bytes() for blob in self.certificate.cert_chain_pems)

    @property
    def key(self) -> bytes:
        return self.certificate.private_key_pem.bytes()


Issue = Callable[..., Party]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unset what the SDK's HTTP exporter trusts in place of the certificate that it is given."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def other_authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Issue:
    """Issue a certificate into files: `issue("server")`, `issue("client", other_authority)`."""

    def issue(name: str, by: trustme.CA = authority) -> Party:
        party = Party(by.issue_cert("127.0.0.1", f"{name}.example"), tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        party.cert_file.write_bytes(party.chain)
        party.key_file.write_bytes(party.key)
        return party

    return issue


@pytest.fixture
def tls(issue: Issue) -> dict[str, Path]:
    server = issue("server")
    return {"tls_cert_file": server.cert_file, "tls_key_file": server.key_file}


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    path.write_bytes(authority.cert_pem.bytes())
    return path


def exporter_of(
    transport: str, receiver: OtlpReceiver, ca_file: Path, client: Party | None = None, key: str = ""
) -> SpanExporter:
    """Return the SDK's exporter, which trusts one authority and may have a certificate of its own."""
    headers = {"x-modelwatch-key": key} if key else None
    if transport == "grpc":
        trusted, pair = _bytes(ca_file), (client.key, client.chain) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(trusted, *pair)
        endpoint = f"https://127.0.0.1:{receiver.grpc_port}"
        return GrpcExporter(endpoint, credentials=credentials, headers=headers, timeout=2)
    return HttpExporter(
        f"https://127.0.0.1:{receiver.http_port}/v1/traces",
        certificate_file=str(ca_file),
        client_certificate_file=str(client.cert_file) if client else None,
        client_key_file=str(client.key_file) if client else None,
        headers=headers,
        timeout=2,
    )


def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def port_of(transport: str, receiver: OtlpReceiver) -> int:
    return receiver.grpc_port if transport == "grpc" else receiver.http_port


async def shown_certificate(port: int) -> bytes:
    """Return the certificate that the port shows, as DER, trusting anybody."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


def der_of(party: Party) -> bytes:
    return ssl.PEM_cert_to_DER_cert(party.certificate.cert_chain_pems[0].bytes().decode())


async def test_the_sdks_exporters_send_over_tls(
    start_receiver: StartReceiver, consumer: GatedConsumer, tls: dict[str, Path], ca_file: Path, transport: str
) -> None:
    """OpenTelemetry's Python exporters verify the certificate and deliver; keys are asked for as without TLS."""
    receiver = await start_receiver(ingest_keys=(SecretStr("the-key"),), **tls)
    for key, result in (("the-key", SpanExportResult.SUCCESS), ("another", SpanExportResult.FAILURE)):
        exporter = exporter_of(transport, receiver, ca_file, key=key)
        assert await export(exporter, finished_spans(4)) is result, key
    assert [batch.item_count for batch in consumer.batches] == [4]


async def test_plaintext_is_not_answered_on_a_tls_port(
    start_receiver: StartReceiver, consumer: GatedConsumer, tls: dict[str, Path], transport: str
) -> None:
    """A sender without TLS gets no answer, and nothing of it is taken; others are served as before."""
    receiver = await start_receiver(**tls)
    try:
        answer = await sender_of(transport, receiver).send(BODY)
        assert answer.code == "UNAVAILABLE"
    except httpx.TransportError:
        assert transport == "http"
    assert consumer.batches == []
    assert await shown_certificate(port_of(transport, receiver))


async def test_mutual_tls_lets_in_who_has_a_certificate(
    start_receiver: StartReceiver,
    consumer: GatedConsumer,
    tls: dict[str, Path],
    ca_file: Path,
    issue: Issue,
    transport: str,
) -> None:
    """With a certificate of the authority an exporter delivers."""
    receiver = await start_receiver(**tls, tls_client_ca_file=ca_file)
    exporter = exporter_of(transport, receiver, ca_file, issue("client"))
    assert await export(exporter, finished_spans(4)) is SpanExportResult.SUCCESS
    assert [batch.item_count for batch in consumer.batches] == [4]


@pytest.mark.parametrize("case", ["none", "of another authority"])
async def test_mutual_tls_keeps_others_out(
    start_receiver: StartReceiver,
    consumer: GatedConsumer,
    tls: dict[str, Path],
    ca_file: Path,
    issue: Issue,
    other_authority: trustme.CA,
    transport: str,
    case: str,
) -> None:
    """Without a certificate, or with one that another authority signed, nothing is delivered."""
    receiver = await start_receiver(**tls, tls_client_ca_file=ca_file)
    client = None if case == "none" else issue("stranger", other_authority)
    assert not await is_let_in(transport, receiver, ca_file, client)
    assert consumer.batches == []


async def is_let_in(transport: str, receiver: OtlpReceiver, ca_file: Path, client: Party | None) -> bool:
    """Tell whether an empty request passes with this certificate, in one try."""
    if transport == "grpc":
        trusted, pair = _bytes(ca_file), (client.key, client.chain) if client else (None, None)
        credentials = grpc.ssl_channel_credentials(trusted, *pair)
        target, options = f"127.0.0.1:{receiver.grpc_port}", [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.secure_channel(target, credentials, options=options) as channel:
            method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
            return await channel.unary_unary(method)(b"", timeout=5).code() is grpc.StatusCode.OK
    context = ssl.create_default_context(cafile=ca_file)
    if client:
        context.load_cert_chain(client.cert_file, client.key_file)
    async with httpx.AsyncClient(verify=context) as http:
        try:
            response = await http.post(
                f"https://127.0.0.1:{receiver.http_port}/v1/traces", headers={"content-type": "application/x-protobuf"}
            )
        except httpx.TransportError:
            return False
    return response.is_success


async def test_versions_before_1_2_are_refused(
    start_receiver: StartReceiver, tls: dict[str, Path], transport: str
) -> None:
    """A handshake that offers TLS 1.1 at most fails; one with 1.2 does not."""
    port = port_of(transport, await start_receiver(**tls))
    for version, is_spoken in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = version
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.transport.abort()
        except (ssl.SSLError, ConnectionError):
            assert not is_spoken
        else:
            assert is_spoken


async def test_a_renewed_certificate_is_shown_without_a_restart(
    start_receiver: StartReceiver, tls: dict[str, Path], issue: Issue, transport: str
) -> None:
    """Within seconds of the files' change new connections see the new certificate, once both files fit together."""
    receiver = await start_receiver(**tls)
    port = port_of(transport, receiver)
    before = await shown_certificate(port)
    renewed = issue("renewed")
    tls["tls_cert_file"].write_bytes(renewed.chain)
    assert await shown_certificate(port) == before
    tls["tls_key_file"].write_bytes(renewed.key)

    async def is_renewed() -> bool:
        return await shown_certificate(port) == der_of(renewed) != before

    await eventually(is_renewed, timeout_s=4)


async def test_a_spoilt_certificate_leaves_the_one_in_use(
    start_receiver: StartReceiver, tls: dict[str, Path], transport: str
) -> None:
    """Files that are of no use are an error in the log; connections go on with what was there before."""
    receiver = await start_receiver(**tls)
    port = port_of(transport, receiver)
    before = await shown_certificate(port)
    with capture_logs() as logs:
        tls["tls_key_file"].write_text("no key")
        await eventually(lambda: [entry for entry in logs if entry["log_level"] == "error"])
    assert KEY in logs[0]["reason"]
    assert await shown_certificate(port) == before


async def test_an_authority_that_is_replaced_counts_no_more(
    start_receiver: StartReceiver,
    tls: dict[str, Path],
    authority: trustme.CA,
    other_authority: trustme.CA,
    ca_file: Path,
    tmp_path: Path,
    issue: Issue,
    transport: str,
) -> None:
    """Senders of a new authority come in, and those of the one before do not any more."""
    clients = tmp_path / "clients.pem"
    clients.write_bytes(authority.cert_pem.bytes())
    receiver = await start_receiver(**tls, tls_client_ca_file=clients)
    old, new = issue("old"), issue("new", other_authority)
    assert await is_let_in(transport, receiver, ca_file, old)
    assert not await is_let_in(transport, receiver, ca_file, new)
    clients.write_bytes(other_authority.cert_pem.bytes())
    await eventually(lambda: is_let_in(transport, receiver, ca_file, new), timeout_s=4)
    assert not await is_let_in(transport, receiver, ca_file, old)


def _encrypted(party: Party) -> bytes:
    key = serialization.load_pem_private_key(party.key, None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("setting", "spoil"),
    [
        (CERT, lambda party, _: party.cert_file.unlink()),
        (CERT, lambda party, _: party.cert_file.write_text("no certificate")),
        (CERT, lambda party, _: party.cert_file.write_bytes(party.key)),
        (KEY, lambda party, _: party.key_file.unlink()),
        (KEY, lambda party, _: party.key_file.write_bytes(b"\xff\x00")),
        (KEY, lambda party, issue: party.key_file.write_bytes(issue("other").key)),
        (KEY, lambda party, _: party.key_file.write_bytes(_encrypted(party))),
        (CLIENT_CA, lambda party, _: (party.cert_file.parent / "ca.pem").write_text("")),
        (CLIENT_CA, lambda party, _: (party.cert_file.parent / "ca.pem").unlink()),
    ],
    ids=["no cert", "junk cert", "key as cert", "no key", "junk key", "wrong key", "encrypted", "empty ca", "no ca"],
)
async def test_bad_files_stop_the_start(
    issue: Issue, ca_file: Path, setting: str, spoil: Callable[[Party, Issue], object]
) -> None:
    """Each is one line that names its setting; no port is left bound."""
    server = issue("server")
    settings = ReceiverSettings(
        grpc_port=free_port(),
        http_port=free_port(),
        tls_cert_file=server.cert_file,
        tls_key_file=server.key_file,
        tls_client_ca_file=ca_file,
    )
    spoil(server, issue)
    with pytest.raises(StartError, match=f"^MODELWATCH_RECEIVER__{setting}: ") as raised:
        await build(settings, RecordingConsumer(), Counters()).start()
    assert "\n" not in str(raised.value)
    assert is_free(settings.grpc_port)
    assert is_free(settings.http_port)


@pytest.mark.parametrize(
    "files",
    [
        {"tls_cert_file": "a"},
        {"tls_key_file": "a"},
        {"tls_client_ca_file": "a"},
        {"tls_cert_file": "a", "tls_client_ca_file": "b"},
    ],
)
def test_half_a_setup_is_refused(files: dict[str, str]) -> None:
    """A certificate without its key, or client certificates without TLS, are mistakes in the settings."""
    with pytest.raises(ValidationError, match="tls_cert_file"):
        ReceiverSettings.model_validate(files)


async def test_a_handshake_that_is_not_made_is_cut_off(start_receiver: StartReceiver, tls: dict[str, Path]) -> None:
    """Who connects to OTLP/HTTP and keeps silent is disconnected after `header_timeout_s`."""
    receiver = await start_receiver(header_timeout_s=0.2, **tls)
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.http_port)
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_it_stops_and_starts_with_tls(tls: dict[str, Path], ca_file: Path, transport: str) -> None:
    """A stop closes what is open, and the next start serves again."""
    receiver = build(ReceiverSettings(grpc_port=0, http_port=0, **tls), RecordingConsumer(), Counters())
    for _ in range(2):
        await receiver.start()
        assert await is_let_in(transport, receiver, ca_file, None)
        await receiver.stop()
