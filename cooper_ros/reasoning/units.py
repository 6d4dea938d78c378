"""Length units, one table for questions and answers."""

from __future__ import annotations

_SPELLINGS: dict[str, tuple[float, str]] = {
    "m": (1.0, "metre metres meter meters"),
    "dm": (0.1, "decimetre decimetres decimeter decimeters"),
    "cm": (0.01, "centimetre centimetres centimeter centimeters"),
    "mm": (0.001, "millimetre millimetres millimeter millimeters"),
    "km": (1000.0, "kilometre kilometres kilometer kilometers"),
    "ft": (0.3048, "foot feet"),
    "in": (0.0254, "inch inches"),
    "yd": (0.9144, "yard yards"),
}

UNIT_SYMBOLS: dict[str, str] = {
    word: symbol for symbol, (_, words) in _SPELLINGS.items() for word in (symbol, *words.split())
}
"""Every spelling of a unit -> its symbol."""

METRES_PER_UNIT: dict[str, float] = {
    word: _SPELLINGS[symbol][0] for word, symbol in UNIT_SYMBOLS.items()
}
"""Every spelling of a unit -> metres."""

UNIT_NAMES: dict[str, str] = {symbol: words.split()[1] for symbol, (_, words) in _SPELLINGS.items()}
"""Symbol -> plural name: "ft" -> "feet"."""

_DECIMALS = {"m": 2, "dm": 1, "cm": 0, "mm": 0, "km": 4, "ft": 2, "in": 1, "yd": 2}

NUMBER_WORDS: dict[str, int] = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen".split()
    )
}

TENS: dict[str, int] = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}


def format_length(value_m: float, symbol: str = "m") -> str:
    """`1.42 m`, `142 cm`, `4.66 ft`: about a centimetre is the last digit, and never "-0"."""
    text = f"{value_m / METRES_PER_UNIT[symbol]:.{_DECIMALS[symbol]}f}"
    return f"{text.lstrip('-') if not text.strip('-0.') else text} {symbol}"
