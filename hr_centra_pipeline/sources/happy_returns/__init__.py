"""Happy Returns' export files: header profiles, landing, quarantine, staging."""
