"""Versions of the libraries in use, for the provenance of results."""

from importlib import metadata


def version_of(library: str) -> str:
    """Installed version of a library; 'not installed' if there is none."""
    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return "not installed"
