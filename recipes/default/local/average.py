"""Write a network between two that went on from the same one with other weights of the losses.

    average.py A.safetensors B.safetensors SHARE OUT.safetensors [shifts=2]

SHARE of B's weights and the rest of A's (Wortsman et al. 2022); further keywords change A's.
"""

import json
import sys

from safetensors import safe_open

from gan.checkpoint import build, export, load_network
from segan.generator import KINDS


def main() -> None:
    """Average the networks of two files."""
    first, second, share, target, *settings = sys.argv[1:]
    with safe_open(first, framework="pt") as file:
        config = json.loads(file.metadata()["config"])
    config |= {key: json.loads(value) for key, value in (one.split("=") for one in settings)}
    network, share = build(config, KINDS), float(share)
    a, b = (load_network(path, KINDS).float().state_dict() for path in (first, second))
    network.load_state_dict({name: (1 - share) * a[name] + share * b[name] for name in a})
    export(target, network, config)


if __name__ == "__main__":
    main()
