"""What all tests need."""

import multiprocessing
import signal

import pytest
import torch

# One thread: the tensors here are tiny, and sums of one order are the same bits everywhere.
torch.set_num_threads(1)

# Started in the background, a shell leaves Ctrl-C ignored, and programs under test inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def none_left_behind():
    """A process that a failed test left would be waited for at the end, for ever."""
    yield
    for process in multiprocessing.active_children():
        if not process.daemon:
            process.kill()
            process.join()
