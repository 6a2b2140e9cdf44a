"""Everything that can be verified of a flow, a scheme or a method, for a person to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odeopt.flows import Flow, HeavyBall
from odeopt.methods import Method
from odeopt.schemes import Lie, Scheme, Strang
from odeopt.verify.base import Verdict
from odeopt.verify.dissipation import dissipation
from odeopt.verify.fixed_points import fixed_points
from odeopt.verify.order import order
from odeopt.verify.parts import parts


@dataclass(frozen=True, repr=False)
class Report:
    """Verdicts by name; true if none is refuted."""

    subject: Any
    verdicts: dict[str, Verdict]

    def __bool__(self) -> bool:
        return all(v.status != "refuted" for v in self.verdicts.values())

    def __repr__(self) -> str:
        lines = [repr(self.subject)]
        for name, verdict in self.verdicts.items():
            _, *details = repr(verdict).split("\n")
            lines += [f"  {name}: {verdict.status}", *(f"  {line}" for line in details)]
        return "\n".join(lines)


def report(subject: Flow | Scheme | Method) -> Report:
    """Run every check that applies.

    Parameters
    ----------
    subject : Flow, Scheme or Method
        Of a flow: its dissipation, its parts and the orders of their splittings. Of a scheme: its order, on the heavy
        ball. Of a method: its flow's checks, the order of its scheme on its flow, and its fixed points.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If it is none of these.
    """
    if not isinstance(subject, (Flow, Scheme, Method)):
        raise TypeError(f"report takes a Flow, a Scheme or a Method, got {subject!r}")
    verdicts: dict[str, Verdict] = {}
    flow = subject.flow if isinstance(subject, Method) else subject
    if isinstance(flow, Flow):
        missing = [name for name in ("V", "dissipation") if getattr(flow, name) is None]
        verdicts["dissipation"] = dissipation(flow) if not missing else Verdict(
            "refused", flow, f"it has no {missing[0]}, so nothing says that it descends: give it V and dissipation")
        if flow.parts:
            verdicts["parts"] = parts(flow)
            if isinstance(subject, Flow) and verdicts["parts"]:
                verdicts |= {f"order of {s.__class__.__name__}()": order(flow, s) for s in (Lie(), Strang())}
    if isinstance(subject, Scheme):
        verdicts["order on the heavy ball"] = order(HeavyBall(), subject)
    if isinstance(subject, Method):
        verdicts["order"] = order(subject.flow, subject.scheme)
        verdicts["fixed points"] = fixed_points(subject)
    return Report(subject, verdicts)
