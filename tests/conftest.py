import os

import torch


# No test asks the Hub for anything, and tiny tensors are slower on more threads.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
torch.set_num_threads(1)
