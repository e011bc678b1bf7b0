"""The corpus of bad inputs: each gets one message that names place and fix, and the ledger stays as they were."""
