"""The shared adversarial game: objectives, turns, trainer. Knows no sound and no picture."""
