"""Reverse accumulation as text: all values upward, then cotangents of operations downward.

``bar_i += (dz/dx_i) bar_z`` (Griewank & Walther 2008, table 3.5), in the order in which the
transformed graph adds. Every value keeps its place, and its cotangent has the same place in an
array of its own. Cotangents start at -0.0, to which adding changes no bit of what is added.

`code` has 8 words an instruction: operation, place of the result, of three operands, of the two
operands that cotangents are passed to, and the operation of the way down (0: nothing wanted depends
on the result). An operand that is passed nothing is given as the result itself, whose cotangent
nobody reads again. A case of the way down computes the shares `a` and `b` of `ct`.
"""

from __future__ import annotations


UPWARD = '''
@jit
def run(code, low, high, f8, f4, i8, b1):
    """Run the instructions low ... high on values; -1, or -2 for an unknown one."""
    at = np.uint64(low) * EIGHT
    end = np.uint64(high) * EIGHT
    while at < end:
        op = code[at]
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        @x = @F[@i]
        @y = @F[@j]
        @ARITHMETIC
        k = np.uint64(code[at + FOUR])
        @w = @F[@k]
        if op > @LAST:
            @OTHERS
            at += EIGHT
            continue
        @CASES
        @F[@z] = @r
        at += EIGHT
    return -1
'''

# Sums, differences and products are all computed, and one is chosen without a branch: which of them
# comes next is what a processor guesses wrong most often.
UPWARD_ARITHMETIC = """
if op < FOUR:
    linear = @x + @y if op == ONE else @x - @y
    @F[@z] = linear if op < THREE else @x * @y
    at += EIGHT
    continue
"""

# `live` says per value whether anything arrived that counts: what a row switches off adds exactly
# 0, even where a partial further down is infinite. Programs without such rows have a plain kernel.
DOWNWARD = '''
@jit
def pull(code, low, high, f8, f4, i8, b1, g8, g4, live):
    """Pass cotangents down from instruction high - 1 to low; -1, or -2 for an unknown one."""
    start = np.uint64(low) * EIGHT
    at = np.uint64(high) * EIGHT
    while at > start:
        at -= EIGHT
        op = code[at + SEVEN]
        if op == NONE:
            continue
        z = np.uint64(code[at + ONE])
        i = np.uint64(code[at + TWO])
        j = np.uint64(code[at + THREE])
        first = np.uint64(code[at + FIVE])
        second = np.uint64(code[at + SIX])
        @x = @F[@i]
        @y = @F[@j]
        ct = @G[@z]
        @MASKS
        @ARITHMETIC
        k = np.uint64(code[at + FOUR])
        @w = @F[@k]
        @r = @F[@z]
        a = b = @ZERO
        @CASES
        @PASS
    return -1
'''

DOWNWARD_ARITHMETIC = """
if op < FOUR:
    a = @y * ct if op == THREE else ct
    b = -ct if op == TWO else ct
    b = @x * ct if op == THREE else b
    @PASS
    continue
"""

PASS = """
@G[@first] = @G[@first] + a
@G[@second] = @G[@second] + b
"""

PASS_MASKED = """
alive = live[z] != 0
on_p = on_p & alive
on_q = on_q & alive
@G[@first] = @G[@first] + (a if on_p else @ZERO)
@G[@second] = @G[@second] + (b if on_q else @ZERO)
live[first] |= on_p
live[second] |= on_q
"""
