"""The words of C++ that nothing can be named by."""

import re
from collections.abc import Collection

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_WORDS = (
    "alignas alignof and and_eq asm auto bitand bitor bool break case catch char char16_t char32_t "
    "class compl const const_cast constexpr continue decltype default delete do double "
    "dynamic_cast else enum explicit export extern false float for friend goto if inline int long "
    "mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public "
    "register reinterpret_cast return short signed sizeof static static_assert static_cast struct "
    "switch template this thread_local throw true try typedef typeid typename union unsigned using "
    "virtual void volatile wchar_t while xor xor_eq"
)
# An operator's folder becomes a namespace, beside what kernels and layers are written with.
_WITHIN = ("std", "dx", "op", "elements", "positive_axis", "put", "index_of")
_TAKEN = frozenset((*_WORDS.split(), *_WITHIN))


def check_namespace(folder: str, taken: Collection[str]) -> None:
    """ValueError for a folder that cannot give a namespace its name; ``taken`` are such also."""
    if _NAME.fullmatch(folder) is None:
        raise ValueError(f"the folder's name '{folder}' is not of lower case letters, digits and _")
    if folder in _TAKEN or folder in taken:
        raise ValueError(
            f"the folder's name '{folder}' is a word of C++, or stands for something else there"
        )
