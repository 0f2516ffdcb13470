"""Speech enhancement: a noisy wave in, a clean wave out.

    import segan

    enhancer = segan.load()
    clean = enhancer(noisy, rate)

    streamer = segan.Streamer(rate=rate)  # for a wave as it comes
    clean = streamer.feed(noisy)

Nothing heavy is imported before one of the names below is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segan.audio import attenuation_limit
    from segan.enhance import Enhancer, load
    from segan.stream import Streamer

__all__ = ["Enhancer", "Streamer", "__version__", "attenuation_limit", "load"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name == "attenuation_limit":
        from segan.audio import attenuation_limit

        return attenuation_limit
    if name == "Streamer":
        from segan.stream import Streamer

        return Streamer
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
