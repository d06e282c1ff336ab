"""Celery's consumer, less what mlq has no use for."""

from __future__ import annotations

from celery.worker import consumer


class Consumer(consumer.Consumer):  # type: ignore[misc]
    """Without native delayed delivery: on RabbitMQ it declares 28 queues, and warns about ours.

    No message of mlq has an ETA or a countdown; retries wait in the database.
    """

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[misc]
        """The steps of Celery's own, but one."""

        default_steps = tuple(
            step
            for step in consumer.Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        )
