"""The mark of a few-step student in config.json, under "distilled"."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from zoo.errors import shown

# The solver that every student samples by, and the most evaluations that one takes.
SOLVER = "learned"
MOST = 16

Text = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z", max_length=300)]
Count = Annotated[int, Meta(ge=0, le=2**50)]
AtLeast0 = Annotated[float, Meta(ge=0)]
# Of `error`: by so many standard errors a student has to be nearer than its teacher's network.
_MARGIN = 2.0


def text(found: object) -> str:
    """Return a name or license as it may stand in the mark: short, no control characters."""
    return shown(found, 300)


class Distilled(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whose student a model is: it maps noise to data in `evaluations`, and has no field.

    Attributes:
        teacher: name of the model whose trajectories it learned, its Hub id owner/name where it was
            loaded by that; "" where it had none.
        evaluations: of the network for a sample, the solver's own number of steps.
        trajectories: of the teacher, whose ends it learned.
        teacher_evaluations: of the teacher's network for each of them.
        trained: starts that it was trained on, repetitions counted.
        seed: of the starts.
        guidance: weight of that of the teacher's trajectories, None for no guidance.
        guide: the model that guided them, "" where classes did or nothing.
        license: of the teacher's weights, "" where its card names none.
        error: mean distance of its samples to the teacher's from the same starts, the root mean
            square per coordinate, as the network knows them. Nothing was trained or chosen on them.
        standard_error: of `error`.
        error_before: the same of the teacher's own network by the steps that it began with.
    """

    teacher: Text
    evaluations: Annotated[int, Meta(ge=1, le=MOST)]
    trajectories: Count = 0
    teacher_evaluations: Count = 0
    trained: Count = 0
    seed: int = 0
    guidance: float | None = None
    guide: Text = ""
    license: Text = ""
    error: AtLeast0 | None = None
    standard_error: AtLeast0 | None = None
    error_before: AtLeast0 | None = None

    @property
    def better(self) -> bool:
        """Whether it is nearer to its teacher than the teacher's network by as many steps.

        By more than twice the standard error.
        """
        if self.error is None or self.standard_error is None or self.error_before is None:
            return False
        return self.error_before - self.error > _MARGIN * self.standard_error

    @property
    def whose(self) -> str:
        """Return whom to ask for what a student has not: "its teacher gravity-digits"."""
        return f"its teacher {self.teacher}".rstrip()

    def __str__(self) -> str:
        count = f"{self.evaluations} evaluation" + "s" * (self.evaluations != 1)
        return f"a student of {self.teacher or 'another model'} in {count}"
