"""Picture GANs on the shared trainer."""
