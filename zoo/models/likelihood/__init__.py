"""Likelihoods along the ODE: the density that a model gives to data.

    log p_0(x_0) = log p_T(x_T) + integral_0^T div f_t(x_t) dt

x_t is the trajectory that starts at x_0, and the integral begins at the kernel's t_min. In low
dimension the divergence is exact, the trace of the Jacobian by one backward pass per coordinate;
in high dimension it is Hutchinson's estimate mean_k e_k . (df/dx) e_k with random signs e_k kept
along the trajectory, so that each k estimates the whole integral and their spread gives the error.
Estimates do not need an adaptive method for (x, integral): the trajectory is integrated in few
exponential steps, and the integral is a spline's through the divergences at their ends.

    result = model.log_likelihood(images)
    result.nats, result.standard_error, result.bits_per_dim, result.note

Sources: FFJORD, arXiv:1810.01367, section 3.1; score SDE, arXiv:2011.13456, appendix D.2.
"""

from zoo.models.likelihood.estimate import (
    EXACT_UP_TO,
    LIKELIHOOD_STEPS,
    LogLikelihood,
    dequantise,
    log_likelihood,
)

__all__ = ["EXACT_UP_TO", "LIKELIHOOD_STEPS", "LogLikelihood", "dequantise", "log_likelihood"]
