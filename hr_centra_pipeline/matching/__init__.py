"""Which shipment line each return unit is, or why it is none."""
