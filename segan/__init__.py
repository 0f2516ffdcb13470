"""Speech enhancement: a noisy wave in, a clean wave out.

    import segan

    enhancer = segan.load()
    clean = enhancer(noisy, rate)

Nothing heavy is imported before one of the names below is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segan.audio import attenuation_limit
    from segan.enhance import Enhancer, load

__all__ = ["Enhancer", "__version__", "attenuation_limit", "load"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name == "attenuation_limit":
        from segan.audio import attenuation_limit

        return attenuation_limit
    if name in __all__:
        from segan import enhance

        return getattr(enhance, name)
    raise AttributeError(f"module 'segan' has no attribute {name!r}")


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("segan")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "unknown"
