"""What a client takes of its surroundings: proxies, but none before this machine, and certificates; no password.

A password for a host in ~/.netrc is not sent: nobody named it for this, and a server here asks for none.
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
"""What requests raises before it asks anyone; its other errors are about who answers."""

OF_A_PROXY = (requests.exceptions.ProxyError, requests.exceptions.InvalidProxyURL, ProxySchemeUnknown)

OF_GRPC = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC looks at, in this order."""


class Proxy(NamedTuple):
    """A proxy, and the variable that names it."""

    url: str
    variable: str

    def __str__(self) -> str:
        """As sentences call it."""
        return f"the proxy {without_password(self.url)} that {self.variable} names"


def session(url: str) -> requests.Session:
    """A session for one server, or for what it redirects to."""
    found = requests.Session()
    found.trust_env = False
    found.proxies = dict(get_environ_proxies(url)) if before(url) else {}
    found.verify = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True
    return found


def before(url: str) -> Proxy | None:
    """The proxy that stands before a server, if one does."""
    with suppress(ValueError):  # what is no address has none
        split = urlsplit(url)
        if split.hostname and not is_here(split.hostname) and not should_bypass_proxies(url, no_proxy=None):
            names = [f"{scheme}_proxy" for scheme in (split.scheme, "all")]
            return _named(select_proxy(url, getproxies()), [each for name in names for each in (name, name.upper())])
    return None


def before_grpc(target: str) -> Proxy | None:
    """The proxy that gRPC asks for a target such as host:8081, if it does."""
    host, variable = grpc_host(target), os.environ.get
    if host and not is_here(host):
        past = variable("no_grpc_proxy") or variable("no_proxy") or ""
        if not should_bypass_proxies(f"http://[{host}]" if ":" in host else f"http://{host}", no_proxy=past):
            return _named(next(filter(None, map(variable, OF_GRPC)), None), OF_GRPC)
    return None


def grpc_host(target: str) -> str:
    """The host of a target, such as dns:///host:8081 or ipv6:[::1]:8081; none of a socket's path."""
    with suppress(ValueError):
        return urlsplit("//" + re.sub(r"^(dns|ipv[46]):", "", target).rpartition("/")[2]).hostname or ""
    return ""


def is_here(host: str) -> bool:
    """Whether a host is this machine by its loopback address, before which no proxy can stand."""
    name = host.rstrip(".").lower()
    try:
        address = ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any(each.is_loopback or each.is_unspecified for each in (address, mapped) if each)


def failed(error: Exception, address: str) -> bool:
    """Whether an error of requests is about the proxy before an address: it cannot be asked, or is named wrongly."""
    return isinstance(error, OF_A_PROXY) or (isinstance(error, NO_ADDRESS) and _is_address(address))


def failure(found: Proxy, address: str) -> ServerError:
    """The error that names a proxy that failed."""
    past = "list the host in no_proxy to go past it"
    return ServerError(f"T{str(found)[1:]} leads to no {without_password(address)}; mend the variable, or {past}.")


def way(found: Proxy | None) -> str:
    """What a sentence says behind an address that was asked through a proxy."""
    return f", asked through {found}," if found else ""


def without_password(url: str) -> str:
    """An address without the user and the password in it."""
    return re.sub(r"^((?:[^/?#]*//)?)[^/?#]*@", r"\1", url)


def _is_address(url: str) -> bool:
    try:
        return str(requests.Request("GET", url).prepare().url).startswith(("http://", "https://"))
    except (requests.RequestException, HTTPError):
        return False


def _named(url: str | None, variables: Sequence[str]) -> Proxy | None:
    found = [name for name in variables if os.environ.get(name) == url]
    return Proxy(url, found[0]) if url and found else None
