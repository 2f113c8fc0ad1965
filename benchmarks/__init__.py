"""How right and how fast camaudit is beside its peers; run from the repository's root."""

import os

os.environ.setdefault("TQDM_DISABLE", "1")  # pytorch-grad-cam draws bars; read when tqdm is imported
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler says when it starts and stops
