"""A simulated fleet: claims, heartbeats and reconciliation as slots double."""
