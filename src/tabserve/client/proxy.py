"""What a client takes from the environment: proxies, except to this machine, and certificates.

Passwords in ~/.netrc are not sent: a server of this project asks for none.
"""

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies

import requests
from requests.utils import get_environ_proxies, select_proxy, should_bypass_proxies
from urllib3.exceptions import HTTPError, LocationParseError, ProxySchemeUnknown

from tabserve.errors import ServerError

NO_ADDRESS = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    LocationParseError,
)
"""Errors of requests about the address itself."""

OF_A_PROXY = (requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL, ProxySchemeUnknown)

OF_GRPC = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads, in this order."""


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """Its name in messages."""
        return f"the proxy {without_password(self.url)} that {self.variable} names"


def session(url: str) -> requests.Session:
    """A session for the server of this address."""
    created = requests.Session()
    created.trust_env = False
    created.proxies = dict(get_environ_proxies(url)) if before(url) else {}
    created.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return created


def before(url: str) -> Proxy | None:
    """The proxy to a server, or None."""
    with suppress(ValueError):  # not an address
        split = urlsplit(url)
        if split.hostname and not is_here(split.hostname) and not should_bypass_proxies(url, no_proxy=None):
            names = [f"{scheme}_proxy" for scheme in (split.scheme, "all")]
            return _named(select_proxy(url, getproxies()), [case for name in names for case in (name, name.upper())])
    return None


def before_grpc(target: str) -> Proxy | None:
    """The proxy that gRPC uses for a target such as host:8081, or None."""
    host, variable = grpc_host(target), os.environ.get
    if host and not is_here(host):
        past = variable("no_grpc_proxy") or variable("no_proxy") or ""
        if not should_bypass_proxies(f"http://[{host}]" if ":" in host else f"http://{host}", no_proxy=past):
            return _named(next(filter(None, map(variable, OF_GRPC)), None), OF_GRPC)
    return None


def grpc_host(target: str) -> str:
    """The host of a target such as dns:///host:8081 or ipv6:[::1]:8081; empty for a socket's path."""
    with suppress(ValueError):
        return urlsplit("//" + re.sub(r"^(dns|ipv[46]):", "", target).rpartition("/")[2]).hostname or ""
    return ""


def is_here(host: str) -> bool:
    """Whether a host is a loopback address, which no proxy can reach."""
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(ip.is_loopback or ip.is_unspecified for ip in (address, mapped) if ip)


def failed(error: Exception, address: str) -> bool:
    """Whether an error of requests is about the proxy to this address: unreachable, or with a wrong name."""
    return isinstance(error, OF_A_PROXY) or (isinstance(error, NO_ADDRESS) and _is_address(address))


def failure(proxy: Proxy, address: str) -> ServerError:
    """The error about a proxy that failed."""
    past = "list the host in no_proxy to go past it"
    return ServerError(f"T{str(proxy)[1:]} leads to no {without_password(address)}; mend the variable, or {past}.")


def way(proxy: Proxy | None) -> str:
    """The words after an address in a message that name the proxy it was asked through."""
    return f", asked through {proxy}," if proxy else ""


def without_password(url: str) -> str:
    """An address without its user and password."""
    return re.sub(r"^((?:[^/?#]*//)?)[^/?#]*@", r"\1", url)


def _is_address(url: str) -> bool:
    try:
        return str(requests.Request("GET", url).prepare().url).startswith(("http://", "https://"))
    except (requests.RequestException, HTTPError):
        return False


def _named(url: str | None, variables: Sequence[str]) -> Proxy | None:
    names = [name for name in variables if os.environ.get(name) == url]
    return Proxy(url, names[0]) if url and names else None
