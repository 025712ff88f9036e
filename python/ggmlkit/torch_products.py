"""Products with torch's tensors; torch is already loaded when one is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

from ggmlkit.errors import ArgumentTypeError


def torch_product(
    function: Any, arguments: tuple[Any, ...], right: Any, product: Callable[[Any], Any]
) -> Any:
    """The result of a torch function for ``x`` and the right operand of ``x @ weights.T``.

    Args:
        function: the torch function.
        arguments: its arguments.
        right: the operand.
        product: numpy's product of an array with it.

    Returns:
        A tensor of x's dtype (float32 if x holds integers), on x's device. The gradient for x is
        computed from the weights' values.

    Raises:
        ArgumentTypeError: the function is not a product with the operand on the right.
    """
    name = getattr(function, "__name__", "")
    if name not in ("matmul", "mm") or len(arguments) != 2 or arguments[1] is not right:
        raise ArgumentTypeError(
            f"torch's {name} can't use a transposed ggmlkit tensor: write x @ tensor.T, or use "
            "its values, tensor.dequantize()"
        )
    return _function().apply(arguments[0], right.weights, product)


def product_with_values(
    function: Any, arguments: tuple[Any, ...], options: dict[str, Any], kind: type
) -> Any:
    """The result of a torch function for matrix products, one of whose operands is a tensor's.

    Args:
        function: the torch function.
        arguments: its arguments.
        options: its arguments by name.
        kind: the class of ggmlkit's tensors.

    Raises:
        ArgumentTypeError: the function is not a product.
    """
    name = getattr(function, "__name__", "")
    if name not in ("matmul", "mm") or len(arguments) != 2 or options:
        raise ArgumentTypeError(
            f"torch's {name} can't use a ggmlkit tensor: write x @ tensor.T, or use its values, "
            "torch.from_numpy(tensor.dequantize())"
        )
    left, right = arguments
    if isinstance(right, kind):
        values, x = for_torch(right, left)
        return function(x, values)
    return function(*for_torch(left, right))


def for_torch(tensor: Any, x: Any) -> tuple[Any, Any]:
    """A tensor's values as a torch tensor on x's device, and x, both of x's dtype.

    Both are float32 if x holds integers.
    """
    torch: Any = sys.modules["torch"]
    x = x if x.is_floating_point() or x.is_complex() else x.float()
    return torch.from_numpy(tensor.dequantize()).to(device=x.device, dtype=x.dtype), x


@cache
def _function() -> Any:
    torch: Any = sys.modules["torch"]

    class Product(torch.autograd.Function):  # type: ignore[misc]
        """x @ weights.T, with its gradient for x."""

        @staticmethod
        def forward(context: Any, x: Any, weights: Any, product: Callable[[Any], Any]) -> Any:
            context.weights = weights
            dtype = x.dtype if x.is_floating_point() else torch.float32
            return torch.from_numpy(product(x)).to(device=x.device, dtype=dtype)

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
