"""The shipped layouts of settlement files. A shop's own are in ``$HR_CENTRA_HOME/payout_profiles``."""
