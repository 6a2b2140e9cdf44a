"""Training networks: the papers' problems, beside the archived runs and the usual optimizers."""

SOURCE = """\
The data sets, networks and starts are those of B. Bensaid, G. Poëtte, R. Turpault, *Deterministic neural networks
optimization from a continuous and energy point of view*, J. Sci. Comput. 96:14 (2023),
[doi:10.1007/s10915-023-02215-4](https://doi.org/10.1007/s10915-023-02215-4), and of their public codes.

All samples are one batch. The loss of the small networks is *R* = 1/(2*P*) Σ |*u* − *y*|² over the *P* training
samples, and a run converges when |∇*R*| falls to the tolerance of its problem, within 200 000 steps. "Xavier" draws
weights from *N*(0, 1/inputs of the layer), "Bengio" from the uniform law on ±√(6/(inputs + outputs)), with biases 0.
Start *i* is the same for all methods. Medians and quartiles are over the runs that converge; shares are of all runs."""

CONTENTS = ("boxes", "regions", "mnist", "fashion", "rates", "full", "archive")
