"""Models as estimators of scikit-learn: `FieldDensity` fits, samples and scores rows.

from zoo.sklearn import FieldDensity

density = FieldDensity(kernel="gravity", minutes=1).fit(X)
density.score_samples(X_test)  # log p(x) in nats
"""

from zoo.sklearn.density import FieldDensity

__all__ = ["FieldDensity"]
