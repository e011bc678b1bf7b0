"""The shipped header profiles of settlement files, one per layout. A shop's own are in ``$HR_CENTRA_HOME/payout_profiles``."""
