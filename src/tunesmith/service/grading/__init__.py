"""Graders: scores of a model's answers, for the Graders API and for reinforcement."""

from tunesmith.service.grading.embedding import embed
from tunesmith.service.grading.scoring import (
    Grader,
    require_supported,
    score,
    score_parts,
    total_score,
    validate,
)

__all__ = [
    "Grader",
    "embed",
    "require_supported",
    "score",
    "score_parts",
    "total_score",
    "validate",
]
