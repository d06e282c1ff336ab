"""mlq workers: Celery app and tasks, supervisor, keeper, reconciler, built-in components."""
