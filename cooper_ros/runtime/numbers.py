"""Reading a depth out of a distribution over digits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cooper_ros.runtime.tokenizer import Tokenizer

LENGTH_WORD = "d"
"""The word of the nano grammar behind which a depth stands (`reasoning.chains`)."""


class MedianDigits:
    """Writes the median of the depth that a model has in mind, instead of its likeliest digits.

    A depth is written digit by digit, most significant first, so the model's next-token
    probabilities are those of a distribution over lengths. The likeliest first digit followed by
    the likeliest second one is the mode of nothing in particular: 2.9 and 3.1 share no digit. The
    median, which makes the smallest error in expectation, is found by the inverse of the cumulative
    distribution at one half, refined digit by digit (exactly so below 10 m, where numbers sort as
    their digits do). Tokens outside such a number are left alone.

    Call `choose` once per token, in order.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        # "." ends the whole part, so it comes before every further digit: 1.x < 10.x
        self._order = [tokenizer.token_id(t) for t in (".", *"0123456789")]
        self._word = tokenizer.token_id(LENGTH_WORD)
        self._inside = False
        self._level = 0.5

    def choose(self, probabilities: NDArray[Any], likeliest: int) -> int:
        """The token to write, from the probabilities [V] of all and the likeliest of them."""
        if likeliest not in self._order:
            self._inside, self._level = likeliest == self._word, 0.5
            return likeliest
        if not self._inside:
            return likeliest
        shares = probabilities[self._order]
        ends = np.cumsum(shares) / shares.sum()
        at = min(int(np.searchsorted(ends, self._level, side="right")), len(ends) - 1)
        begin = ends[at - 1] if at else 0.0
        self._level = float(np.clip((self._level - begin) / max(ends[at] - begin, 1e-9), 0.0, 1.0))
        return self._order[at]
