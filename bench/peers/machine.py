"""Where a comparison ran, and the Python the peers run in."""

import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys

REQUIREMENTS = pathlib.Path(__file__).parent.parent / "requirements.txt"

# Cheaper than importing the packages: torch alone takes seconds.
VERSIONS_PROGRAM = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = None
print(json.dumps(found))
"""


def usable_cpus():
    return len(os.sched_getaffinity(0))


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        fields = dict(re.findall(r"^(model name|vendor_id|cpu family|model|stepping)\s*: (.*)$", file.read(), re.M))
    detail = ", ".join(f"{key} {fields[key]}" for key in ("cpu family", "model", "stepping") if key in fields)
    return f"{fields.get('model name', platform.machine())} ({detail})"


def cpu_features():
    """Those that decide which matrix kernels run."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(re.search(r"^flags\s*: (.*)$", file.read() + "\nflags : ", re.M).group(1).split())
    return sorted(flags & {"avx2", "avx512f", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_tile", "avx512_vnni"})


def memory_bytes():
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def describe():
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "cpu": cpu_model(),
        "cpu_features": cpu_features(),
        "cpus": usable_cpus(),
        "memory_bytes": memory_bytes(),
        "kernel": platform.release(),
        "load_average_before": os.getloadavg(),
    }


def wanted_versions():
    text = REQUIREMENTS.read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Za-z0-9_-]+)==(\S+)$", text, re.M))


def installed_versions(python):
    command = [str(python), "-c", VERSIONS_PROGRAM, *wanted_versions()]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def peer_python(venv):
    """The interpreter of the virtual environment at `venv`; makes it, and installs the peers, if it is not there."""
    python = pathlib.Path(venv) / "bin" / "python"
    if not python.exists():
        print(f"installing the peers into {venv}", flush=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS)], check=True)
        except BaseException:
            shutil.rmtree(venv, ignore_errors=True)  # half a venv would be taken for a whole one the next time
            raise
    return python


def version_notes(installed):
    """Packages that are not at the version of requirements.txt (a local suffix such as +cpu is the same version)."""
    return [
        f"{name} is {installed[name] or 'not installed'}, requirements.txt says {wanted}"
        for name, wanted in wanted_versions().items()
        if (installed[name] or "").split("+")[0] != wanted
    ]
