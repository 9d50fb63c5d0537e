"""Work of networks that paint which can be left out without changing the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PaintSavings:
    """Which savings are on. All of them give the same result but for rounding.

    Parameters
    ----------
    kept_keys : bool
        Keys and values of reference, text and picture once per job, in place of at each call.
    no_blank_reference : bool
        Without guidance nothing looks at the reference, in place of counting it 0 times.
    no_blank_text : bool
        Colour: the answer to a text of zeros is the bias of the output.
    few_blank_tokens : bool
        PBR: a picture of zeros has 4 different tokens, in place of 4 for each patch.
    two_rows : bool
        PBR: the row between those with and without guidance is not computed; it cancels.
    """

    kept_keys: bool = True
    no_blank_reference: bool = True
    no_blank_text: bool = True
    few_blank_tokens: bool = True
    two_rows: bool = True


ALL_SAVINGS = PaintSavings()
NO_SAVINGS = PaintSavings(*(False,) * 5)
