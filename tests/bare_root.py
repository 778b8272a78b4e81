"""A bare Debian in a folder, and the steps of an image's recipe run in it one by one."""

import json
import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from dockerfile_parse import DockerfileParser

from tests.conftest import ROOT

# How this machine reaches registries: proxies, and the certificates that it trusts.
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
NETWORK_FILES = ("/etc/resolv.conf", "/etc/hosts")
IN_ROOT = """
mount --rbind /dev {root}/dev || exit 125
mount --rbind /sys {root}/sys || exit 125
mount -t proc proc {root}/proc || exit 125
exec chroot --userspec={user} {root} /usr/bin/env -i {environment} /bin/sh -c {script}
"""


@dataclass
class Recipe:
    """How an image is made: its base, what is copied, run and set, and what it starts."""

    base: str
    copies: list[list[str]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    user: str = "0:0"
    folder: str = "/"
    starts: str = ""
    says: str = ""
    test: str = ""


def read_dockerfile(path: Path) -> Recipe:
    """Read a Dockerfile; an instruction that is not known here is an error."""
    parser = DockerfileParser(fileobj=BytesIO(path.read_bytes()), env_replace=False)
    recipe = Recipe("")
    for step in parser.structure:
        value = step["value"]
        match step["instruction"]:
            case "COMMENT":
                pass
            case "FROM":
                recipe.base = value
            case "COPY":
                recipe.copies.append(shlex.split(value))
            case "RUN":
                recipe.commands.append(value)
            case "ENV":
                recipe.variables |= dict(word.split("=", 1) for word in shlex.split(value))
            case "USER":
                recipe.user = value
            case "WORKDIR":
                recipe.folder = value
            case "ENTRYPOINT":
                recipe.starts = shlex.join(json.loads(value))
            case "CMD":
                recipe.says = shlex.join(json.loads(value))
            case other:
                raise SystemExit(f"{path}: {other} is not followed here; see tests/bare_root.py")
    return recipe


def read_definition(path: Path) -> Recipe:
    """Read a definition of Apptainer in the same way."""
    sections: dict[str, list[str]] = {"": []}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("%"):
            name = line[1:].split()[0]
            sections[name] = []
        elif line.strip() and not line.startswith("#"):
            sections[name].append(line.strip())
    known = {"", "files", "post", "environment", "runscript", "test", "labels"}
    if unknown := set(sections) - known:
        raise SystemExit(f"{path}: %{min(unknown)} is not followed here; see tests/bare_root.py")
    header = dict(line.split(": ", 1) for line in sections[""])
    exports = [line.removeprefix("export ").split("=", 1) for line in sections["environment"]]
    return Recipe(
        header["From"],
        [line.split() for line in sections["files"]],
        sections["post"],
        dict(exports),
        starts=" ".join(sections["runscript"]).removeprefix("exec ").removesuffix(' "$@"'),
        test=" && ".join(sections["test"]),
    )


class BareRoot:
    """A Debian with nothing but its package manager, as images begin with.

    Parameters
    ----------
    folder
        Where it is made; new.
    base
        A root of the same Debian to be copied, instead of fetching one.
    """

    def __init__(self, folder: Path, suite: str, base: Path | None = None) -> None:
        self.folder = folder
        if os.geteuid() != 0:
            raise SystemExit("Only root can make a root of its own.")
        if base:
            subprocess.run(["cp", "--archive", base, folder], check=True)
        elif program := shutil.which("debootstrap"):
            command = [program, "--variant=minbase", suite, str(folder)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        else:
            raise SystemExit("debootstrap is missing: apt-get install debootstrap")
        for name in NETWORK_FILES:
            shutil.copyfile(name, folder / name.removeprefix("/"))
        shutil.copytree("/etc/apt/apt.conf.d", folder / "etc/apt/apt.conf.d", dirs_exist_ok=True)
        self._outside = {name: os.environ[name] for name in PROXIES if name in os.environ}
        if CERTIFICATES.is_file():
            shutil.copyfile(CERTIFICATES, folder / "certificates.crt")
            names = ("SSL_CERT_FILE", "PIP_CERT")
            self._outside |= dict.fromkeys(names, "/certificates.crt")

    def copy(self, *words: str) -> None:
        """Copy files of the clone, as COPY and %files do."""
        *patterns, place = words
        target = self.folder / place.removeprefix("/")
        target.mkdir(parents=True, exist_ok=True)
        for pattern in patterns:
            if not (found := sorted(ROOT.glob(pattern))):
                raise SystemExit(f"{ROOT / pattern}: there is no such file")
            for path in found:
                shutil.copy(path, target)

    def run(
        self, command: str, variables: dict[str, str], user: str = "0:0", folder: str = "/"
    ) -> str:
        """Run a command in the root; return what it says, or stop if it fails."""
        exports = "".join(f'export {name}="{value}"\n' for name, value in variables.items())
        words = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        environment = shlex.join(f"{n}={v}" for n, v in (words | self._outside).items())
        script = IN_ROOT.format(
            root=shlex.quote(str(self.folder)),
            user=user,
            environment=environment,
            script=shlex.quote(f"{exports}cd {folder} || exit 125\n{command}"),
        )
        # The mounts and all processes go with the first one.
        inside = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]
        done = subprocess.run(
            inside,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"{done.stdout[-6000:]}\nERROR: it failed here: {command}")
        return done.stdout

    def measure_mb(self) -> float:
        """How much lies in it, in MB."""
        told = subprocess.run(
            ["du", "--summarize", "--one-file-system", "--block-size=1000000", self.folder],
            capture_output=True,
            text=True,
            check=True,
        )
        return float(told.stdout.split()[0])
