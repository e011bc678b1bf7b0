"""Reasons that Python and SQL both give, in one wording; SQL gets them as parameters."""

DUE_BY_SETTINGS = "waits for approval: it is due only since the settings were changed, by what was known before"
CHANGED_BY_SETTINGS = (
    "waits for approval: only the settings have changed what is done for it: who pays, how much or to where"
)
PAID_IN_PART = (
    "the order was paid in part by gift card, and a refund may not give the other payments more than they paid"
)
UNTIED_REFUND = "the order has a refund without a Return: tie it to units first"

PARAMETERS = {
    "due_by_settings": DUE_BY_SETTINGS,
    "changed_by_settings": CHANGED_BY_SETTINGS,
    "paid_in_part": PAID_IN_PART,
    "untied_refund": UNTIED_REFUND,
}
"""For ``run_sql``."""
