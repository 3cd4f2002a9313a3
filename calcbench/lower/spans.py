"""Parts of contiguous arrays for generated loops: no test, no copy, and no count of references.

`span(array, start, size)` is the array of one axis that begins at a position of the flattened
C-contiguous array; it may be written to if the array may. `seen` is the same to be read only, so
that a function which takes it is compiled once for arrays of every kind. `room` is a span with
entries of another dtype, `start` counted in those of the array. Whoever takes a part keeps the
whole array alive.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from numba import types
from numba.extending import intrinsic


_Tuple: Any = types.UniTuple  # which has no types of its own


def _part(may_write: bool) -> Any:
    def typed(typing_context: Any, array: Any, start: Any, size: Any) -> Any:
        is_mutable = may_write and array.mutable
        part = types.Array(array.dtype, 1, "C", readonly=not is_mutable)
        return part(array, types.int64, types.int64), _generate

    return intrinsic(typed)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def room(typing_context: Any, array: Any, start: Any, size: Any, dtype: Any) -> Any:
    part = types.Array(dtype.dtype, 1, "C", readonly=not array.mutable)
    return part(array, types.int64, types.int64, dtype), _generate


def _generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    array, start, size = values[:3]
    given, result = signature.args[0], signature.return_type
    source = context.make_array(given)(context, builder, array)
    part = context.make_array(result)(context, builder)
    bytes_each = context.get_abi_sizeof(context.get_data_type(result.dtype))
    step = context.get_constant(types.int64, bytes_each)
    one_axis = _Tuple(types.int64, 1)
    part.data = builder.bitcast(builder.gep(source.data, [start]), part.data.type)
    part.itemsize, part.nitems = step, size
    part.shape = context.make_tuple(builder, one_axis, [size])
    part.strides = context.make_tuple(builder, one_axis, [step])
    part.meminfo = context.get_constant_null(types.voidptr)
    part.parent = context.get_constant_null(types.pyobject)
    return part._getvalue()


span = _part(may_write=True)
seen = _part(may_write=False)

_DIGEST = hashlib.sha256(Path(sys.modules[__name__].__file__ or "").read_bytes()).hexdigest()[:16]
HEADER = f'SPANS = "{_DIGEST}"\nfrom calcbench.lower.spans import room, seen, span\n'
