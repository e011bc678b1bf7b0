"""What of our calls the contract compares, under the name that ``uses`` and ``centra_contract`` know: see ``centra_calls``."""

from hr_centra_pipeline.sources.centra.centra_calls import WIDEST, Sometimes, Variables, plain

__all__ = ["WIDEST", "Sometimes", "Variables", "plain"]
