"""scikit-learn's digits: 1,797 handwritten digits, 8x8 grey with 17 levels, 10 classes.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
Learning Repository, 1998, doi:10.24432/C50P49.
"""

from __future__ import annotations

import torch

from zoo.data.images import Images
from zoo.data.request import Request

LICENCE = "CC BY 4.0 (Alpaydin and Kaynak, UCI Machine Learning Repository)"
HOLD_OUT = 6


def load_digits(request: Request) -> Images:
    """Return the digits, shape (1, 8, 8), uint8 levels 0 to 16.

    The source has no splits, so every sixth image is in the test split (299 images; 1,498 remain).
    The file is ordered by writer, so both splits have all writers.
    """
    from sklearn.datasets import load_digits as fetch

    bunch = fetch()
    x = torch.from_numpy(bunch.images).to(torch.uint8).unsqueeze(1)
    y = torch.from_numpy(bunch.target).long()
    held_out = torch.arange(len(x)) % HOLD_OUT == HOLD_OUT - 1
    keep = held_out if request.split == "test" else ~held_out
    return Images(x[keep], y[keep], 10, "digits", LICENCE, top=16)
