"""What a search has taught beside its answer."""

from __future__ import annotations

from fastapi import APIRouter

from search_spaces.insight import Insight

from .. import deps

router = APIRouter(prefix="/v1/studies/{name}", tags=["answer"], responses=deps.PROBLEMS)


@router.get("/importance")
def show_importance(name: deps.StudyName, insights: deps.InsightsOf) -> Insight:
    """Show which parameters mattered, which families were tried, the metric against the LR, and what was pruned.

    Made of the latest 5,000 ended trials at most.
    """
    return insights.of(name)
