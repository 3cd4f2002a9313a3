"""The one tree by which every engine adds up: fixed by the number of terms alone.

Terms are numbered in index order of the reduced axes. Blocks of 256 consecutive terms are summed in
8 lanes (term k goes to lane k mod 8, each lane in order), the lanes as ((0+4)+(2+6))+((1+5)+(3+7)),
and the blocks in adjacent pairs until one is left. The error is bounded by about (35 + log2(n/256))
units in the last place of the sum of sizes, where term-by-term addition has n. Threads share out
whole blocks, so their number changes no bit.

Lanes start at -0.0, the neutral element of IEEE addition (0.0 + -0.0 is 0.0): a sum of one term is
that term. A sum of none is 0.0.
"""

from __future__ import annotations


LANES = 8
BLOCK = 256

# Functions of generated modules; `x` is an array of any number type, `start` a position in it.
TREE = '''
@jit
def block_sum(x, start, count):
    """The sum of at most 256 consecutive entries."""
    zero = x.dtype.type(-0.0)
    a = b = c = d = e = f = g = h = zero
    whole = count - count % 8
    for k in range(start, start + whole, 8):
        a += x[k]
        b += x[k + 1]
        c += x[k + 2]
        d += x[k + 3]
        e += x[k + 4]
        f += x[k + 5]
        g += x[k + 6]
        h += x[k + 7]
    k = start + whole
    rest = count - whole
    if rest > 0:
        a += x[k]
    if rest > 1:
        b += x[k + 1]
    if rest > 2:
        c += x[k + 2]
    if rest > 3:
        d += x[k + 3]
    if rest > 4:
        e += x[k + 4]
    if rest > 5:
        f += x[k + 5]
    if rest > 6:
        g += x[k + 6]
    return ((a + e) + (c + g)) + ((b + f) + (d + h))


@jit
def pair_up(sums, start, count):
    """The sum of block sums, in adjacent pairs; overwrites them."""
    while count > 1:
        half = count // 2
        for k in range(half):
            sums[start + k] = sums[start + 2 * k] + sums[start + 2 * k + 1]
        if count % 2:
            sums[start + half] = sums[start + count - 1]
            half += 1
        count = half
    return sums[start]


@jit
def tree_sum(x, start, count, sums, first):
    """The sum of consecutive entries; `sums` has room for one number a block from `first` on."""
    if count <= 256:
        return block_sum(x, start, count) if count else x.dtype.type(0.0)
    blocks = (count + 255) // 256
    for block in range(blocks):
        done = block * 256
        sums[first + block] = block_sum(x, start + done, min(256, count - done))
    return pair_up(sums, first, blocks)
'''
