import { Text, Timeline } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import type { Event } from "../api/client";
import { jobEvents } from "../api/queries";
import { short } from "../parts/format";
import { Loaded } from "../parts/page";
import { Ago } from "../parts/time";

const WORDS: Record<string, string> = {
  submit: "submitted",
  queue: "queued",
  start: "started",
  claim: "taken by a worker",
  succeed: "succeeded",
  fail: "failed",
  retry: "failed; another attempt follows",
  release: "handed back by a draining worker",
  lose: "lost with its worker; another attempt follows",
  skip: "skipped",
  request_cancel: "cancel requested",
  cancel: "canceled",
  resume: "resumed",
  reopen: "open again",
  archive: "archived",
};

function words(event: Event): string {
  const [, act = event.kind] = event.kind.split(".");
  const attempt = event.attempt && act === "claim" ? `attempt ${event.attempt} ` : "";
  return attempt + (WORDS[act] ?? act) + (event.reason ? ` (${event.reason})` : "");
}

/** Everything that happened to a job, attempts and their errors included. names: id -> step. */
export function History({ id, names }: { id: string; names?: Map<string, string> }) {
  const query = useQuery(jobEvents(id));
  return (
    <Loaded query={query}>
      {({ items }) => (
        <Timeline bulletSize={10} lineWidth={1}>
          {items.map((event) => (
            <Timeline.Item
              key={event.id}
              title={
                <Text size="sm">
                  {event.job_id !== id && <b>{names?.get(event.job_id ?? "") ?? "step"} </b>}
                  {words(event)}
                </Text>
              }
            >
              <Text size="xs" className="quiet">
                <Ago at={event.at} /> {event.actor && `· ${event.actor}`}
              </Text>
              {event.detail && Object.keys(event.detail).length > 0 && (
                <Text size="xs" className="mono" lineClamp={6}>
                  {errorOf(event.detail) ?? short(event.detail)}
                </Text>
              )}
            </Timeline.Item>
          ))}
        </Timeline>
      )}
    </Loaded>
  );
}

function errorOf(detail: Record<string, unknown>): string | undefined {
  const error = detail.error as { message?: unknown } | undefined;
  const message = error?.message ?? detail.message;
  return typeof message === "string" ? message : undefined;
}
