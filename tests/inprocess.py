"""An engine for tests: every run is done in this process, one after the other."""

from dataclasses import dataclass, field
from typing import ClassVar

from bayesreg.engine import Engine, Outcome


@dataclass
class InProcess(Engine):
    """errors: {number of a job: what stops it}, of every grid. grids: how many jobs each had."""

    name: ClassVar[str] = "in process"
    errors: dict = field(default_factory=dict)
    grids: list = field(default_factory=list)

    def outcomes(self, function, shared, jobs):
        self.grids.append(len(jobs))
        for number, job in enumerate(jobs):
            try:
                if number in self.errors:
                    raise self.errors[number]
                yield Outcome(number, function(shared, job.content))
            except Exception as error:
                yield Outcome(number, error=error)
