"""Many clients submitting at once: what is accepted, how fast, and that all of it ends."""
