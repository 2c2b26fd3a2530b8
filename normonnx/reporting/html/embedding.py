"""JSON inside a script element of an HTML page, whatever strings it holds.

An HTML parser ends the element at "</script", and reads on differently after "<!--" and "<script"
(HTML, section 13.2.5.4); so "<", ">" and "&" are written as JSON escapes, and everything beyond
ASCII, which takes care of U+2028 and lone surrogates as well.
"""

from __future__ import annotations

import json
from typing import Final

_ESCAPES: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


def embedded(content: object) -> str:
    """JSON that can stand between script tags.

    Raises:
        ValueError: It holds a number that is not finite.
    """
    plain = json.dumps(content, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return plain.translate(_ESCAPES)
