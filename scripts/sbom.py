"""Write a CycloneDX bill of materials of a container image: its Python packages and its Debian packages."""

import argparse
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tabserve.cli import run
from tabserve.destination import ending
from tabserve.errors import UsageError
from tabserve.files import whole

LIST_PACKAGES = """
import json, platform, subprocess, sys
from importlib.metadata import distributions
paths = [f"{root}/lib/python3.{sys.version_info.minor}/site-packages" for root in (sys.prefix, sys.base_prefix)]
packages = [("generic", None, "python", platform.python_version(), None)]
packages += [("pypi", None, package.name, package.version, None) for package in distributions(path=paths)]
system = platform.freedesktop_os_release()
distro = f"distro={system['ID']}-{system['VERSION_ID']}"
command = ["dpkg-query", "--show", "--showformat", "${Package} ${Version} arch=${Architecture}\\n"]
installed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
packages += [("deb", system["ID"], *f"{line}&{distro}".split()) for line in installed.splitlines()]
print(json.dumps(packages))
"""
"""Code that an image's own Python runs; it prints the five parts of each package's URL, the qualifiers last."""


def main() -> None:
    """Write the bill of materials of an image."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="exit codes: 0 written, 2 no such image, 3 not written"
    )
    parser.add_argument("image", metavar="IMAGE", help="name of an image that Docker has, such as tabserve")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="json to write")
    arguments = parser.parse_args()
    ending(arguments.out, [".json"])
    image = Component(name=arguments.image, type=ComponentType.CONTAINER, bom_ref="image")
    bill = Bom(components=packages(arguments.image))
    bill.metadata.component = image
    bill.register_dependency(image, bill.components)
    with whole(arguments.out) as temporary:
        temporary.write_text(JsonV1Dot6(bill).output_as_string(indent=2))


def packages(image: str) -> Iterator[Component]:
    """Python itself and every package of an image.

    Raises:
        UsageError: Docker cannot run the image.
    """
    command = [
        "docker",
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "none",
        "--entrypoint",
        "python",
        image,
        "-c",
        LIST_PACKAGES,
    ]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603 (no shell, our own words)
    except FileNotFoundError as error:
        raise UsageError("There is no command `docker`; install it, or make the bill where it is.") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.partition("\n")[0]
        raise UsageError(f"Docker cannot run the image {image!r} (`make image` builds it): {reason}") from error
    for parts in json.loads(printed):
        url = PackageURL(*parts)
        yield Component(name=url.name, version=url.version, purl=url, bom_ref=str(url))


if __name__ == "__main__":
    run.run(main)
