"""What is sent to Centra, and the record of it: the ledger of effects, their packets, every attempt. Writes ``push.*``."""
