"""``make soak``: days of a shop's life with the real daemon, schedule, sensors and Postgres, and outages of everything."""
