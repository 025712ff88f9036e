"""Products with torch's tensors: torch is loaded already where one is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from ggmlkit.errors import ArgumentTypeError


def torch_product(
    function: Any, arguments: tuple[Any, ...], right: Any, product: Callable[[Any], Any]
) -> Any:
    """What a function of torch's gives for ``x`` and the right operand of ``x @ weights.T``.

    Args:
        function: of torch's.
        arguments: that it was called with.
        right: the operand.
        product: numpy's product of an array with it.

    Returns:
        A tensor of x's dtype on its device. The gradient for x comes from the weights' values.

    Raises:
        ArgumentTypeError: it is another function than a product with the operand on the right.
    """
    name = getattr(function, "__name__", "")
    if name not in ("matmul", "mm") or len(arguments) != 2 or arguments[1] is not right:
        raise ArgumentTypeError(
            f"torch's {name} takes no transposed ggmlkit tensor: write x @ tensor.T, or take its "
            "values, tensor.dequantize()"
        )
    x = arguments[0]
    if not x.is_floating_point():
        raise ArgumentTypeError(f"x must hold floats for a product, not {x.dtype}")
    return _function().apply(x, right.weights, product)


@cache
def _function() -> Any:
    torch: Any = sys.modules["torch"]

    class Product(torch.autograd.Function):  # type: ignore[misc]
        """x @ weights.T, with its gradient for x."""

        @staticmethod
        def forward(context: Any, x: Any, weights: Any, product: Callable[[Any], Any]) -> Any:
            context.weights = weights
            return torch.from_numpy(product(x)).to(device=x.device, dtype=x.dtype)

        @staticmethod
        def backward(context: Any, gradient: Any) -> tuple[Any, None, None]:
            if not hasattr(context.weights, "dequantize"):
                raise ArgumentTypeError(
                    "a product with packed weights has no gradient: use the tensor itself, or "
                    "torch.no_grad()"
                )
            values = torch.from_numpy(context.weights.dequantize())
            return gradient @ values.to(device=gradient.device, dtype=gradient.dtype), None, None

    return Product
