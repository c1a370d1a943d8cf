"""How ModelWatch itself is: what its processes received and stored, hold, and how fresh its figures are."""

from query.pipeline.answers import PipelineAnswer, PipelineStep, ProcessStatus, SignalFlow, TierUse
from query.pipeline.component import PipelineQuery
from query.pipeline.flows import course_text

__all__ = ["PipelineAnswer", "PipelineQuery", "PipelineStep", "ProcessStatus", "SignalFlow", "TierUse", "course_text"]
