"""The queues by name."""

QUICK = "quorum-quick"  # looks and bookkeeping: seconds, never behind a training
HEAVY = "quorum"  # steps of rounds, and what else takes long
