"""Weighted sums over cells as matrix products of any array library, where a device is faster at them than one core."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scanlink.errors import OptionError
from scanlink.stats._moments import LANES, weighted_sums
from scanlink.stats._types import Ints, Singles

__all__ = ["ArraySums", "Sums", "sums_on"]


class Sums(Protocol):
    """How weighted sums over cells are taken: ``out[k, r] = sum of (weight - 1) features[cell, k]`` over ``cells``."""

    def __call__(self, weights: NDArray[np.uint8], cells: Ints, features: Singles, out: Singles, /) -> None: ...


class ArraySums:
    """Weighted sums by an array library of the array API standard.

    Parameters
    ----------
    namespace
        Module of the library as ``array_api_compat`` has it: ``array_api_compat.numpy``, ``array_api_compat.torch``,
        ``array_api_compat.cupy``.
    device
        Name of the device that holds the arrays, in the words of that library; None for its default.

    Notes
    -----
    Single precision throughout. The last bits differ from those of the compiled sums and so do coefficients, far within
    what the moment solver takes a replicate to be wrong by: p-values are the same.

    Examples
    --------
    >>> import array_api_compat.numpy
    >>> weights = np.zeros((1, 3, LANES), dtype=np.uint8)
    >>> weights[0, :, 0] = [2, 0, 1]
    >>> out = np.empty((1, LANES), dtype=np.float32)
    >>> features = np.array([[1.0], [10.0], [100.0]], dtype=np.float32)
    >>> ArraySums(array_api_compat.numpy)(weights, np.arange(3), features, out)
    >>> float(out[0, 0])  # 1 once more, 10 once less
    -9.0
    """

    def __init__(self, namespace: Any, device: Any = None) -> None:
        self.namespace, self.device = namespace, device
        # The last weights and features, as they were given and as they are on the device.
        self._weights: tuple[NDArray[np.uint8], Any] | None = None
        self._features: tuple[Singles, Any] | None = None

    def __call__(self, weights: NDArray[np.uint8], cells: Ints, features: Singles, out: Singles, /) -> None:
        """Fill ``out``, of shape ``(n_columns, n_tiles * LANES)``, from the first columns of ``features``."""
        xp = self.namespace
        if self._weights is None or self._weights[0] is not weights:
            on_device = xp.asarray(weights, device=self.device)
            self._weights = weights, xp.astype(on_device, xp.float32) - 1.0
        if self._features is None or self._features[0] is not features:
            self._features = features, xp.asarray(features, device=self.device)
        device_cells = xp.asarray(np.ascontiguousarray(cells), device=self.device)
        rows = xp.take(self._features[1], device_cells, axis=0)[:, : out.shape[0]]
        product = xp.matmul(rows.T, xp.take(self._weights[1], device_cells, axis=1))
        sums = np.asarray(product.cpu() if hasattr(product, "cpu") else product)
        out[...] = sums.transpose(1, 0, 2).reshape(out.shape[0], weights.shape[0] * LANES)


def sums_on(device: str | None) -> Sums:
    """Return sums on a device of PyTorch, such as ``"cuda"`` or ``"cpu"``; None takes the compiled ones.

    Raises
    ------
    OptionError
        If PyTorch is not there, or it has no such device.

    Examples
    --------
    >>> sums_on(None) is weighted_sums
    True
    """
    if device is None:
        return weighted_sums
    try:
        import array_api_compat.torch
    except ImportError as error:
        raise OptionError(
            f"device {device!r} needs PyTorch and array-api-compat ({error}): pip install 'scanlink[device]', "
            "or leave device out"
        ) from None
    namespace: Any = array_api_compat.torch
    try:
        namespace.asarray(np.zeros(1, dtype=np.float32), device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise OptionError(
            f"device {device!r} cannot be used here: {str(error).splitlines()[0]}. Leave it out, or name one that is "
            "there, such as 'cpu'"
        ) from None
    return ArraySums(namespace, device)
