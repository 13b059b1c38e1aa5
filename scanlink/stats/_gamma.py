"""Compiled differences of log gamma and its derivatives at ``theta + c`` and ``theta``, for any ``c`` above 0.

Counts ``y = k + c`` with ``k`` whole enter the likelihood of theta through ``log gamma(theta + y) - log gamma(theta)``:
the step from ``theta + c`` to ``theta + c + k`` is a sum over whole steps, and the first one, of length ``c``, is here.
Nothing large is subtracted from anything large, so that the differences are right for any theta, as large as it gets.
"""

from __future__ import annotations

import math

from scanlink.stats._compile import compiled

# From here on Stirling's series is right to the last digit with the terms below; below it whole steps lead up to it.
_STIRLING = 16.0


@compiled
def log_rise(theta: float, c: float) -> float:
    """Compute ``log gamma(theta + c) - log gamma(theta) - c log(theta)``, which is 0 for infinite ``theta``."""
    if theta > 1e15:
        return 0.0
    z = theta
    total = 0.0
    while z < _STIRLING:
        total -= math.log1p(c / z)
        z += 1.0
    ratio = math.log1p(c / z)
    total += c * math.log(z / theta) + (z + c - 0.5) * ratio - c
    # Stirling: 1/(12 z) - 1/(360 z^3) + 1/(1260 z^5) - 1/(1680 z^7) + 1/(1188 z^9), at z + c less at z.
    total += _fall(z, ratio, 1) / 12.0 - _fall(z, ratio, 3) / 360.0 + _fall(z, ratio, 5) / 1260.0
    return total - _fall(z, ratio, 7) / 1680.0 + _fall(z, ratio, 9) / 1188.0


@compiled
def slope_rise(theta: float, c: float) -> tuple[float, float]:
    """Compute ``digamma(theta + c) - digamma(theta)`` and ``trigamma(theta) - trigamma(theta + c)``, both above 0."""
    z = theta
    first = 0.0
    second = 0.0
    while z < _STIRLING:
        a, b = 1.0 / z, 1.0 / (z + c)
        first += c * a * b
        second += c * a * b * (a + b)
        z += 1.0
    ratio = math.log1p(c / z)
    # digamma: log z - 1/(2 z) - 1/(12 z^2) + 1/(120 z^4) - 1/(252 z^6) + 1/(240 z^8) - 1/(132 z^10).
    first += ratio - _fall(z, ratio, 1) / 2.0 - _fall(z, ratio, 2) / 12.0 + _fall(z, ratio, 4) / 120.0
    first += -_fall(z, ratio, 6) / 252.0 + _fall(z, ratio, 8) / 240.0 - _fall(z, ratio, 10) / 132.0
    # trigamma: 1/z + 1/(2 z^2) + 1/(6 z^3) - 1/(30 z^5) + 1/(42 z^7) - 1/(30 z^9) + 5/(66 z^11).
    second -= _fall(z, ratio, 1) + _fall(z, ratio, 2) / 2.0 + _fall(z, ratio, 3) / 6.0 - _fall(z, ratio, 5) / 30.0
    second -= _fall(z, ratio, 7) / 42.0 - _fall(z, ratio, 9) / 30.0 + _fall(z, ratio, 11) * 5.0 / 66.0
    return first, second


@compiled
def _fall(z: float, ratio: float, power: int) -> float:
    """Compute ``(z + c)^-power - z^-power``, with ``ratio = log(1 + c / z)``."""
    return math.expm1(-power * ratio) / z**power
