"""Matrix calculus with named sizes: every answer certified, in the layout you ask for."""

# %% A gradient, a Hessian and a Jacobian, as a person would write them
import calcbench as cb


print(cb.matrix_diff("norm(A*x - w)^2", "x"))
print(cb.matrix_diff("norm(A*x - w)^2", "x", order=2).unicode())
print(cb.matrix_diff("logdet(X)", "X").unicode())
print(cb.matrix_diff("sum(softplus(-y .* (X*w)))", "w").unicode())

# %% A matrix by a matrix has four axes; the Kronecker form has two
product = cb.matrix_diff("A*X*B", "X")
print(len(product.shape), "axes:", product.unicode(), "| vec:", product.vec())

# %% The same derivative in the three layouts
for layout in ("mixed", "numerator", "denominator"):
    derivative = cb.matrix_diff("x'*A*x", "x", layout)
    shape = ", ".join(map(str, derivative.shape))
    print(f"{layout:12}({shape:4}) {derivative.unicode()}")
print(cb.shape_table("numerator"))

# %% Structured variables: by the free entries, and it says so
print(cb.matrix_diff("logdet(S)", "S", S="symmetric(n)").unicode())

# %% Source to paste, and a graph to run on any engine
gradient = cb.matrix_diff("log(sum(exp(A*x)))", "x")
print(gradient.numpy_source())
print(gradient.expr.bind(A=[[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], x=[0.5, -0.5]))

# %% A mistake is an error at the operator
try:
    cb.matrix_diff("A*A", "A", A="matrix(m, n)")
except cb.ShapeError as error:
    print(error)
