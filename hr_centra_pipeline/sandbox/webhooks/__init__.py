"""What the vendors push: deliveries that wait in an outbox, and the thread that sends them."""
