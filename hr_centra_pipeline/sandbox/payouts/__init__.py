"""The payment providers: a card processor and a wallet that write settlement files of what Centra's payments moved."""
