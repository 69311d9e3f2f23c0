"""Models as estimators of scikit-learn: `FieldDensity(kernel="gravity").fit(X)`."""

from zoo.sklearn.density import FieldDensity

__all__ = ["FieldDensity"]
