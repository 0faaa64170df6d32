"""docs/frameworks.md shows parts of the examples, which tests/soak/test_examples.py runs."""

from __future__ import annotations

import re

import pytest

from tests.machine import ROOT
from tests.promises.documents import Block, blocks

DOCUMENT = "docs/frameworks.md"
EXAMPLES = [(ROOT / f"examples/{name}.py").read_text() for name in ("lightning_digits", "transformers_tiny")]


@pytest.mark.parametrize("block", blocks(DOCUMENT))
def test_every_block_is_a_part_of_an_example(block: Block) -> None:
    """Letter by letter, so that what is shown is what is run."""
    assert block.language == "python"
    assert any(block.text in example for example in EXAMPLES), block.text


def test_links_lead_somewhere() -> None:
    """Every relative link is a file of the repository."""
    targets = re.findall(r"\]\(([^)#]+)", (ROOT / DOCUMENT).read_text(encoding="utf-8"))

    assert len(targets) > 2
    assert [target for target in targets if not ((ROOT / DOCUMENT).parent / target).exists()] == []
