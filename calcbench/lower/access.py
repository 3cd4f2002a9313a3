"""Reading and writing entries in generated loops, without tests and without false dependencies.

`read(array, i)` and `write0(array, i, value)` take a position in the flattened C-contiguous array.
Positions are known to be inside, so nothing is tested or wrapped around. The load and the store say
to LLVM that no array which a loop reads is one that it writes, which the emission sees to; so
loops over any number of arrays vectorise, and need no test for overlap when they run. Buffers that
a loop both fills and reads go through `keep` and `kept`.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from numba import types
from numba.extending import intrinsic


WRITERS = 7  # arrays of one loop that are told apart; more of them share
_SCOPES = ("kept", "read", *(f"write{k}" for k in range(WRITERS)))


_marks: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


def _mark(module: Any, instruction: Any, own: str) -> None:
    """The access touches what `own` stands for, and nothing that the other scopes stand for."""
    known = _marks.setdefault(module, {})
    if own not in known:
        domain = module.add_metadata(["calcbench"])
        scopes = {name: module.add_metadata([name, domain]) for name in _SCOPES}
        others = [scopes[name] for name in _SCOPES if name != own]
        known[own] = module.add_metadata([scopes[own]]), module.add_metadata(others)
    mine, others = known[own]
    instruction.set_metadata("alias.scope", mine)
    instruction.set_metadata("noalias", others)


def _address(context: Any, builder: Any, array_type: Any, array: Any, position: Any) -> Any:
    # Only the pointer is taken out: all parts of the array take five times as long to compile.
    data = context.data_model_manager[array_type].get(builder, array, "data")
    return builder.gep(data, [position])


def _reader(scope: str) -> Any:
    def typed(typing_context: Any, array: Any, position: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            loaded = builder.load(_address(context, builder, signature.args[0], *values))
            _mark(builder.module, loaded, scope)
            return context.data_model_manager[signature.return_type].from_data(builder, loaded)

        return array.dtype(array, types.int64), generate

    return intrinsic(typed)


def _writer(scope: str) -> Any:
    def typed(typing_context: Any, array: Any, position: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            stored = context.data_model_manager[signature.args[2]].as_data(builder, values[2])
            place = _address(context, builder, signature.args[0], *values[:2])
            _mark(builder.module, builder.store(stored, place), scope)
            return context.get_dummy_value()

        return types.void(array, types.int64, array.dtype), generate

    return intrinsic(typed)


read = _reader("read")
kept = _reader("kept")
keep = _writer("kept")
write0 = _writer("write0")
write1 = _writer("write1")
write2 = _writer("write2")
write3 = _writer("write3")
write4 = _writer("write4")
write5 = _writer("write5")
write6 = _writer("write6")
