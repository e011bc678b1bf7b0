"""The shipped layouts of settlement files. A shop's own lie in ``$HR_CENTRA_HOME/payout_profiles``."""
