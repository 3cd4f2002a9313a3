"""Forward accumulation as text: value and tangents of one operation after the other.

``dz_q = sum_i (dz/dx_i) dx_i,q`` for all directions q at once (Griewank & Walther 2008, table 3.4).
The partials are computed once per operation, whatever the number of directions, and a value's place
is free again after its last reader: memory does not grow with the number of operations.

`code` has 8 words an instruction: operation, place of the result, of three operands, of the two
operands whose tangents count, and which of these there are (1, 2, or 3 for both). The tangents of a
value lie at its place times `directions`. A case of the kernel computes the value `@r` and the
partials `p` and `q`.
"""

from __future__ import annotations


# `live` says per value whether its tangent counts: one that a row has switched off is exactly 0,
# even where it then meets an infinite partial. Programs without such rows have a plain kernel.
PUSH = '''
@jit
def push(code, low, high, directions, f8, f4, i8, b1, d8, d4, live):
    """Run the instructions low ... high on values and tangents; -1, or -2 for an unknown one."""
    at = np.uint64(low) * EIGHT
    end = np.uint64(high) * EIGHT
    count = np.uint64(directions)
    p = q = @ZERO
    while at < end:
        op = code[at]
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        k = np.uint64(code[at + FOUR])
        @x = @F[@i]
        @y = @F[@j]
        @w = @F[@k]
        @MASKS
        if op > @LAST:
            @OTHERS
            at += EIGHT
            continue
        @ARITHMETIC@CASES
        @F[@z] = @r
        terms = code[at + SEVEN]
        if terms != NONE:
            first = np.uint64(code[at + FIVE])
            second = np.uint64(code[at + SIX])
            @COMBINE
        at += EIGHT
    return -1
'''

# Sums, differences and products are all computed, and one is chosen without a branch: which of them
# comes next is what a processor guesses wrong most often.
PUSH_ARITHMETIC = """
if op < FOUR:
    linear = @x + @y if op == ONE else @x - @y
    @r = linear if op < THREE else @x * @y
    p = @y if op == THREE else @UNIT
    q = -@UNIT if op == TWO else @UNIT
    q = @x if op == THREE else q
el"""

COMBINE = """
if terms == THREE:
    for n in range(count):
        @D[@S(z * count + n)] = p * @D[@S(first * count + n)] + q * @D[@S(second * count + n)]
else:
    p = p if terms == ONE else q
    first = first if terms == ONE else second
    for n in range(count):
        @D[@S(z * count + n)] = p * @D[@S(first * count + n)]
"""

COMBINE_MASKED = """
on = (live[first] != 0) & on_p
other = (live[second] != 0) & on_q
if terms == THREE:
    live[z] = on | other
    for n in range(count):
        one = p * @D[@S(first * count + n)] if on else @ZERO
        two = q * @D[@S(second * count + n)] if other else @ZERO
        @D[@S(z * count + n)] = one + two
else:
    p = p if terms == ONE else q
    first = first if terms == ONE else second
    on = on if terms == ONE else other
    live[z] = on
    for n in range(count):
        @D[@S(z * count + n)] = p * @D[@S(first * count + n)] if on else @ZERO
"""
