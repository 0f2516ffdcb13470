"""What all tests need."""

import signal

import torch

# One thread: the tensors here are tiny, and sums of one order are the same bits everywhere.
torch.set_num_threads(1)

# Started in the background, a shell leaves Ctrl-C ignored, and programs under test inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
