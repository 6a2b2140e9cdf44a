"""Sums of polynomials of one number whose terms disagree about the minimum.

The eight examples of B. Bensaid, G. Poëtte, R. Turpault, "Numerical splitting
schemes as the cornerstone for mini-batch optimization" (2025, HAL
hal-04991621).  At most of the minima of f = f_1 + ... + f_m the gradients of
the components do not vanish (no interpolation): there a mini-batch method with
a constant step does not stop, unless its splitting is balanced.
"""

from dataclasses import dataclass
from typing import NamedTuple

from odeopt.objectives.base import CriticalPoint, Landscape
from odeopt.parameters import whole


class _Polynomial(NamedTuple):
    coefficients: tuple[float, ...]  # from the highest power down
    critical_points: tuple[tuple[float, str], ...]


class _Sum(NamedTuple):
    name: str
    components: tuple[_Polynomial, ...]
    step: float
    critical_points: tuple[tuple[float, str], ...]


_A = _Polynomial((1.0, 0.0, 1.0), ((0.0, "global minimum"),))

_B = _Polynomial((4.0, -4.0, 2.0), ((0.5, "global minimum"),))

_C = _Polynomial(
    (2.0, 0.0, -1.0, 0.0, 1.0),
    ((-0.5, "global minimum"), (0.5, "global minimum"), (0.0, "maximum")),
)

_D = _Polynomial(
    (12.0, 4.0, -9.0, 0.0, 4.0),
    ((-0.75, "global minimum"), (0.5, "local minimum"), (0.0, "maximum")),
)

_E = _Polynomial(
    (12.0, -4.0, 5.0, 0.0, 1.0, -3.0, -2.0, -1.0, 1.0, -1.0, 1.0),
    ((0.70740596275274362, "global minimum"),),
)

_F = _Polynomial(
    (1.0, -1.0, 0.0, -1.0, 0.0, 1.0, 1.0),
    (
        (-0.46291242457529758, "global minimum"),
        (1.1245090810521094, "local minimum"),
        (0.53360414580838413, "maximum"),
    ),
)

_G = _Polynomial(
    (1.0, 1.0, 0.0, 1.0, -2.0, 0.0, 9.0),
    (
        (-1.3643968029274018, "global minimum"),
        (0.62423606707032413, "local minimum"),
        (0.0, "maximum"),
    ),
)

_H = _Polynomial((4.0, 12.0, 10.0), ((-1.5, "global minimum"),))

_I = _Polynomial(
    (4.0, 2.8, -1.75, -1.0, 0.0, 0.0, 1.0),
    (
        (-0.75, "global minimum"),
        (0.5, "global minimum"),
        (0.0, "degenerate"),
        (-1 / 3, "maximum"),
    ),
)

_J = _Polynomial(
    (1.0, 0.5, 0.0, 2.0, 0.0, 0.0, 2.0),
    ((-1.1599252962645591, "global minimum"), (0.0, "degenerate")),
)

_K = _Polynomial(
    (1.0, 1.0, -2.0, 1.0),
    ((0.54858377035486353, "local minimum"), (-1.2152504370215302, "maximum")),
)

_SUMS = (
    _Sum("2Gen", (_A, _B), 1e-1, ((0.4, "global minimum"),)),
    _Sum(
        "2Ego>Gen",
        (_C, _D),
        5.81e-3,
        ((-5 / 7, "global minimum"), (0.5, "local minimum"), (0.0, "maximum")),
    ),
    _Sum(
        "2Ego<Eq<Gen",
        (_E, _F),
        1e-3,
        (
            (0.72102463600877472, "global minimum"),
            (0.0, "local minimum"),
            (0.22939525305987933, "maximum"),
        ),
    ),
    _Sum(
        "2Ego<<Gen",
        (_G, _F),
        3.33e-2,
        (
            (-0.81254012577744172, "global minimum"),
            (0.67716586364444342, "local minimum"),
            (0.25311693135864344, "maximum"),
        ),
    ),
    _Sum("3Gen", (_A, _B, _H), 5e-2, ((-4 / 9, "global minimum"),)),
    _Sum(
        "3Ego<2Plot~Gen",
        (_C, _D, _I),
        1e-2,
        (
            (-0.71806659441503283, "global minimum"),
            (0.5, "local minimum"),
            (0.0, "maximum"),
        ),
    ),
    _Sum(
        "3Ego<<Gen",
        (_G, _F, _J),
        1e-2,
        ((-0.91228672343944116, "global minimum"),),
    ),
    _Sum(
        "4Ego<2Plot<Gen",
        (_G, _F, _J, _K),
        2.5e-2,
        (
            (-0.87046661946675658, "global minimum"),
            (0.4132124336190212, "local minimum"),
            (-0.24123822625456856, "maximum"),
        ),
    ),
)


def _horner(coefficients, x):
    total = coefficients[0]
    for c in coefficients[1:]:
        total = total * x + c if c else total * x
    return total


def _add(polynomials):
    """Coefficients of the sum, from the highest power down."""
    length = max(len(p) for p in polynomials)
    padded = [(0.0,) * (length - len(p)) + p for p in polynomials]
    return tuple(sum(column) for column in zip(*padded, strict=True))


def _labelled(points):
    return tuple(CriticalPoint((x,), kind) for x, kind in points)


@dataclass(frozen=True)
class Example(Landscape):
    """Example 1 to 8 of the paper ("ex1" to "ex8"), f = f_1 + ... + f_m.

    ====== =============================================================== =========
    number components, in powers of x                                      minima
    ====== =============================================================== =========
    1      x^2+1; (2x-1)^2+1                                               0.4
    2      2x^4-x^2+1; 12x^4+4x^3-9x^2+4                                   -5/7, 0.5
    3      12x^10-4x^9+5x^8+x^6-3x^5-2x^4-x^3+x^2-x+1; x^6-x^5-x^3+x+1     0.721, 0
    4      x^6+x^5+x^3-2x^2+9; x^6-x^5-x^3+x+1                             -0.813, 0.677
    5      those of 1; (2x+3)^2+1                                          -4/9
    6      those of 2; 4x^6+(14/5)x^5-(7/4)x^4-x^3+1                       -0.718, 0.5
    7      those of 4; x^6+x^5/2+2x^3+2                                    -0.912
    8      those of 7; x^3+x^2-2x+1                                        -0.870, 0.413
    ====== =============================================================== =========

    The minima are given global first.  The minimum 0.5 of the examples 2 and 6 is
    the only one shared by all components (interpolation).

    Parameters
    ----------
    number : int
        1 to 8.

    Notes
    -----
    Four statements of the paper are corrected here.  The first component of the
    examples 2 and 6 has two equal minima, -+0.5; the global minimum of their
    second one is -0.75 (value 1.047), and 0.5 is only local (value 3).  In
    example 3 the values of f between 0 and the maximum 0.229 go from 2 to 2.021
    (the paper gives half of that, the mean).  The last component of example 8
    is a cubic: its minimum is local.
    """

    number: int = 1

    dimension = 1
    box = (-1.0, 1.0)

    def __post_init__(self):
        whole(1, number=self.number)
        if self.number > len(_SUMS):
            raise ValueError(f"`number` must be in 1..{len(_SUMS)}, got {self.number}")

    @property
    def name(self) -> str:
        """The paper's name of the example, for instance "2Ego>Gen"."""
        return _SUMS[self.number - 1].name

    @property
    def step(self) -> float:
        """The constant step with which the paper runs its mini-batch methods."""
        return _SUMS[self.number - 1].step

    @property
    def batches(self) -> int:
        """The number of components m."""
        return len(_SUMS[self.number - 1].components)

    def batch(self, i: int) -> "Component":
        """The component f_(i+1), i = 0 to m - 1."""
        return Component(self.number, i)

    def value(self, x):
        components = _SUMS[self.number - 1].components
        return _horner(_add([c.coefficients for c in components]), x)

    @property
    def critical_points(self):
        return _labelled(_SUMS[self.number - 1].critical_points)


@dataclass(frozen=True)
class Component(Landscape):
    """One component of an `Example`, a landscape of its own.

    Parameters
    ----------
    number : int
        The example, 1 to 8.
    index : int
        The component, 0 to m - 1.
    """

    number: int = 1
    index: int = 0

    dimension = 1
    box = (-1.0, 1.0)

    def __post_init__(self):
        batches = Example(self.number).batches
        if not (isinstance(self.index, int) and 0 <= self.index < batches):
            raise ValueError(f"Example({self.number}) has the components 0..{batches - 1}, got {self.index!r}")

    def value(self, x):
        return _horner(_SUMS[self.number - 1].components[self.index].coefficients, x)

    @property
    def critical_points(self):
        return _labelled(
            _SUMS[self.number - 1].components[self.index].critical_points
        )
