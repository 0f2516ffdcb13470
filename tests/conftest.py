"""One thread: the tensors here are tiny, and sums of one order are the same bits everywhere."""

import torch

torch.set_num_threads(1)
