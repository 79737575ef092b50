"""Which hosts may be spoken to: this machine and the local network, and beyond that only those the user names.

A name is resolved once for each connection to be made, and the connection goes to the very address that was judged: a
name that answers differently the next time (DNS rebinding) leads nowhere else.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from lsp.errors import MidlineError

_LOCAL = tuple(
    ipaddress.ip_network(net)
    for net in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
_RESOLVE_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Where to connect.

    Args:
        scheme: ``http`` or ``https``.
        host: the name in the URL.
        port: the TCP port.
        path: what all requests' paths begin with; empty or beginning with a slash.
        ip: the address that was judged; empty for a host that may be reached through a proxy.
    """

    scheme: str
    host: str
    port: int
    path: str
    ip: str

    @property
    def authority(self) -> str:
        """Host and port as HTTP's ``Host`` has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The server, for messages and for the keyring."""
        return f"{self.scheme}://{self.authority}"

    @property
    def base_url(self) -> str:
        """What to connect to."""
        if not self.ip:
            return self.origin
        return f"{self.scheme}://{f'[{self.ip}]' if ':' in self.ip else self.ip}:{self.port}"


async def find_address(url: str, allowed_hosts: tuple[str, ...]) -> Address:
    """The address of ``url``, if it may be spoken to.

    Raises:
        MidlineError: it is no URL of a server, its name isn't known, or it is neither local nor named.
    """
    address = parse(url)
    named = address.host.lower() in {host.strip().lower().strip("[]") for host in allowed_hosts}
    found = await _resolve(address)
    outside = [ip for ip in found if not is_local(ip)]
    if outside and not named:
        raise MidlineError(
            f"engine.remote leads to {address.host} ({outside[0]}), which is outside of the local network: "
            "your code would leave it.",
            f'If that is what you want, add "{address.host}" to `remote.allowed_hosts`.',
        )
    if outside and address.scheme != "https":
        raise MidlineError(
            f"engine.remote leads to {address.host} outside of the local network without encryption.",
            "Use an address that begins with https.",
        )
    return address if outside else Address(address.scheme, address.host, address.port, address.path, found[0])


def parse(url: str) -> Address:
    """The parts of a URL.

    Raises:
        MidlineError: it is none of a server. The message doesn't repeat it: there may be a password in it.
    """
    allowed = "It is like http://192.168.1.20:8080 or https://models.example.org/path."
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise MidlineError(f"engine.remote is not an address: {error}.", allowed) from error
    if parts.scheme not in _PORTS or not host or not host.isprintable() or " " in host:
        raise MidlineError("engine.remote is not an address of a server.", allowed)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise MidlineError(
            "engine.remote holds a password or a query.",
            "An API key goes into the variable that `remote.key_variable` names.",
        )
    path = parts.path.rstrip("/").removesuffix("/v1")
    return Address(parts.scheme, host, port or _PORTS[parts.scheme], path, "")


def is_local(ip: str) -> bool:
    """Whether an address is this machine's or of a network that the Internet doesn't reach."""
    address = ipaddress.ip_address(ip.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address.version == net.version and address in net for net in _LOCAL)


async def _resolve(address: Address) -> list[str]:
    """The host's IP addresses, IPv4 first: servers on a local network often listen on that alone."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise UnreachableError(
            f"The host {address.host} of engine.remote isn't known here.", "Check its name, and that its network is up."
        ) from error
    ips = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    return sorted(ips, key=lambda ip: ":" in ip)


class UnreachableError(MidlineError):
    """The server is away, as it may be for a while: another engine may answer meanwhile."""
