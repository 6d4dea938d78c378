"""Depths are written as the median of what the model has in mind."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cooper_ros.runtime.numbers import MedianDigits
from cooper_ros.runtime.tokenizer import Tokenizer


def written(
    tokenizer: Tokenizer, lengths: np.ndarray, before: str = "d", medians: bool = True
) -> str:
    """What is written by a model whose beliefs are exactly the sample `lengths` [m]."""
    texts = [f"{value:.2f}" for value in lengths]
    numbers = MedianDigits(tokenizer)
    count = tokenizer.vocab_size
    word = tokenizer.token_id(before)
    assert numbers.choose(np.eye(count)[word], word) == word
    out = ""
    while any(t != out and t.startswith(out) for t in texts):
        following = [t[len(out)] for t in texts if t.startswith(out) and t != out]
        probabilities = np.full(count, 1e-9)
        for token in set(following):
            probabilities[tokenizer.token_id(token)] = following.count(token) / len(following)
        likeliest = int(np.argmax(probabilities))
        choice = numbers.choose(probabilities, likeliest) if medians else likeliest
        out += tokenizer.tokens([choice])[0]
    return out


SAMPLES: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "around three": lambda rng: rng.normal(2.99, 0.15, 501),
    "one or three": lambda rng: rng.choice([1.21, 3.4, 3.45], 501, p=[0.4, 0.3, 0.3]),
    "skewed": lambda rng: rng.lognormal(0.3, 0.5, 501),
    "far": lambda rng: rng.normal(9.0, 0.6, 501).clip(0.3, 9.99),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_it_is_the_median(tokenizer: Tokenizer, name: str) -> None:
    lengths = np.round(SAMPLES[name](np.random.default_rng(1)).clip(0.01), 2)
    assert float(written(tokenizer, lengths)) == pytest.approx(np.median(lengths), abs=0.011)


def test_likeliest_digits_can_be_far_off(tokenizer: Tokenizer) -> None:
    lengths = np.array([2.01] * 40 + [3.05] * 30 + [3.15] * 30)
    assert written(tokenizer, lengths, medians=False) == "3.05"
    lengths = np.array([1.99] * 45 + [2.01] * 30 + [3.05] * 25)  # a near tie between 1 and 2
    assert written(tokenizer, lengths, medians=False) == "1.99"
    assert written(tokenizer, lengths) == "2.01"


def test_other_numbers_keep_their_likeliest_digits(tokenizer: Tokenizer) -> None:
    lengths = np.array([1.99] * 45 + [2.01] * 30 + [3.05] * 25)
    assert written(tokenizer, lengths, before="u") == "1.99"
