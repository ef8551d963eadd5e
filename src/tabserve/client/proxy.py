"""What a client takes from the environment: certificates, and proxies unless the server is on this machine.

Passwords in ~/.netrc are not sent, because a server of this project asks for none.
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

ADDRESS_ERRORS = (
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    LocationParseError,
)
"""What requests raises for an invalid address."""

PROXY_ERRORS = (requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL, ProxySchemeUnknown)
"""What requests raises for a proxy that is unreachable or has an invalid address."""
GRPC_VARIABLES = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads, in this order."""


class Proxy(NamedTuple):
    """A proxy, and the environment variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """The proxy as messages name it, without its password."""
        return f"the proxy {without_password(self.url)} that {self.variable} names"


def session(url: str) -> requests.Session:
    """Create a session for requests to the server at this address."""
    created = requests.Session()
    created.trust_env = False
    created.proxies = dict(get_environ_proxies(url)) if for_url(url) else {}
    created.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return created


def for_url(url: str) -> Proxy | None:
    """The proxy on the way to a server, or None."""
    with suppress(ValueError):  # not an address
        split = urlsplit(url)
        if split.hostname and not is_loopback(split.hostname) and not should_bypass_proxies(url, no_proxy=None):
            names = [f"{scheme}_proxy" for scheme in (split.scheme, "all")]
            return _with_variable(
                select_proxy(url, getproxies()), [case for name in names for case in (name, name.upper())]
            )
    return None


def for_grpc_target(target: str) -> Proxy | None:
    """The proxy on the way to a target of gRPC such as host:8081, or None."""
    host, variable = grpc_host(target), os.environ.get
    if host and not is_loopback(host):
        bypassed = variable("no_grpc_proxy") or variable("no_proxy") or ""
        if not should_bypass_proxies(f"http://[{host}]" if ":" in host else f"http://{host}", no_proxy=bypassed):
            return _with_variable(next(filter(None, map(variable, GRPC_VARIABLES)), None), GRPC_VARIABLES)
    return None


def grpc_host(target: str) -> str:
    """The host of a target such as dns:///host:8081 or ipv6:[::1]:8081; empty for a socket's path."""
    with suppress(ValueError):
        return urlsplit("//" + re.sub(r"^(dns|ipv[46]):", "", target).rpartition("/")[2]).hostname or ""
    return ""


def is_loopback(host: str) -> bool:
    """Whether a host is a loopback address, which no proxy can reach."""
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(ip.is_loopback or ip.is_unspecified for ip in (address, mapped) if ip)


def is_failure(error: Exception, address: str) -> bool:
    """Whether an error of requests means that the proxy to this address is unreachable or has an invalid address."""
    return isinstance(error, PROXY_ERRORS) or (isinstance(error, ADDRESS_ERRORS) and _is_address(address))


def failure(proxy: Proxy, address: str) -> ServerError:
    """The error about a proxy that failed."""
    advice = "mend the variable, or list the host in no_proxy to go past it"
    return ServerError(f"T{str(proxy)[1:]} leads to no {without_password(address)}; {advice}.")


def mention(proxy: Proxy | None) -> str:
    """The words that name the proxy after an address in a message; empty without a proxy."""
    return f", asked through {proxy}," if proxy else ""


def without_password(url: str) -> str:
    """The address without its user and password."""
    return re.sub(r"^((?:[^/?#]*//)?)[^/?#]*@", r"\1", url)


def _is_address(url: str) -> bool:
    try:
        return str(requests.Request("GET", url).prepare().url).startswith(("http://", "https://"))
    except (requests.RequestException, HTTPError):
        return False


def _with_variable(url: str | None, variables: Sequence[str]) -> Proxy | None:
    names = [name for name in variables if os.environ.get(name) == url]
    return Proxy(url, names[0]) if url and names else None
