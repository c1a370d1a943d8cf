"""nginx as Debian ships it, with the configuration that a test gives it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.support.servers import PrivateServer, find_program

_MAIN = """\
{user}
pid nginx.pid;
error_log error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
{servers}
}}
"""


class PrivateNginx(PrivateServer):
    """One nginx on `port` with what stands within `http { ... }`."""

    def __init__(self, port: int, servers: Sequence[str]) -> None:
        self._program = find_program("nginx", "PATH", "/usr/sbin/nginx")
        super().__init__("nginx", port)
        user = "user root;" if os.geteuid() == 0 else ""
        self.configuration = self.directory / "nginx.conf"
        self.configuration.write_text(_MAIN.format(user=user, servers="\n".join(servers)))

    def command(self) -> list[str]:
        directory = str(self.directory)
        return [self._program, "-p", directory, "-c", str(self.configuration), "-e", "error.log", "-g", "daemon off;"]
