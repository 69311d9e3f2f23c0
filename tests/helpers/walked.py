"""What solvers and networks are learned for in tests, and solvers of one number of steps."""

KERNELS = {
    "gravity": {},
    "gaussian": {},
    "pfgmpp": {"D": 8.0},
    "tanh": {},
    "exp": {},
    "flow": {},
    "vp": {},
    "psi": {"psi": "tanh((r/t)**beta)", "beta": 1.5},
    "phi": {"phi": "exp(-r/t)"},
}
# They take a grid or levels of their own.
OWN_STEPS = ("learned",)
