"""The corpus of bad inputs: each gets one message that names place and fix, and the books stay as they were."""
