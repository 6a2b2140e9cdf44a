"""Bensaid, Poëtte and Turpault: optimizers that keep an energy decreasing."""

SOURCE = """\
B. Bensaid, G. Poëtte, R. Turpault, *Deterministic neural networks optimization from a continuous and energy
point of view*, J. Sci. Comput. 96:14 (2023),
[doi:10.1007/s10915-023-02215-4](https://doi.org/10.1007/s10915-023-02215-4), and the Lyapunov control that
they added in [arXiv:2407.01019](https://arxiv.org/abs/2407.01019) (2024).

The landscapes are one neuron *act*(*wx* + *b*) on two data points. Benchmark 1 (polyTwo, *act*(*z*) = *z*²
− 1) has four global minima; Benchmark 2 (polyThree, 2*z*³ − 3*z*² + 5) has the same four, of which only (0,
−1) is global, and gradient descent with step 0.1 is stable at none of them. Starts are the centres of a
grid of cells on [−3, 3]²; a run converges when |*g*| ≤ 10⁻⁴, within 20 000 steps, and reaches a minimum if
it ends within 0.05 of it. It diverges if it leaves the finite numbers, or ends unconverged with |*g*| >
1000."""

CONTENTS = ("basins_classical", "basins_new", "basins_lyapunov", "rises", "dissipation_speed", "adam_paths",
            "basins_polyfive", "stiffness", "sensitivity", "complexity", "order_four", "extinction", "stability_limits",
            "lyapunov_stability", "table", "archive")
