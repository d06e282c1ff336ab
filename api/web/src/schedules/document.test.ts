import { expect, test } from "vitest";
import type { Schedule } from "../api/client";
import { BLANK_FORM, documentOf, formOf, keep, triggerWords } from "./document";

const stored: Schedule = {
  name: "nightly",
  display_name: "Nightly",
  description: "all of it",
  tags: { team: "a" },
  trigger: {
    type: "recurrence",
    frequency: "month",
    interval: 2,
    time_zone: "Europe/Berlin",
    start_time: "2026-01-01T00:00:00",
    schedule: { hours: [6, 18], minutes: [0], month_days: [1, 15] },
  },
  job: { type: "command", command: "echo ${{creation_context.trigger_time}}" },
  catch_up: "all",
  overlap: "queue",
  is_enabled: true,
  created_by: "admin",
  created_at: "2026-01-01T00:00:00Z",
  updated_at: "2026-01-01T00:00:00Z",
};

test("a schedule goes through the form unchanged", () => {
  const document = keep(documentOf(formOf(stored)), stored);
  expect(document).toEqual({
    name: "nightly",
    display_name: "Nightly",
    description: "all of it",
    tags: { team: "a" },
    trigger: stored.trigger,
    overlap: "queue",
    catch_up: "all",
    create_job: stored.job,
  });
});

test("another kind of trigger takes nothing over from the one before", () => {
  const form = { ...formOf(stored), type: "cron" as const, expression: "0 4 * * *" };
  expect(keep(documentOf(form), stored).trigger).toEqual({
    type: "cron",
    expression: "0 4 * * *",
    time_zone: "Europe/Berlin",
  });
});

test("what is no job is told before it is sent", () => {
  expect(() => documentOf({ ...BLANK_FORM, job: "- one" })).toThrow("mapping");
});

test("triggers in words", () => {
  expect(
    [
      { type: "cron", expression: "0 2 * * *", time_zone: "UTC" },
      { type: "recurrence", frequency: "week", interval: 2 },
      { type: "recurrence", frequency: "day", interval: 1, time_zone: "Europe/Berlin" },
      { type: "data", data: "mlq:churn" },
      { type: "drift", endpoint: "churn" },
      { type: "webhook", branch: "main" },
    ].map(triggerWords),
  ).toEqual([
    "cron 0 2 * * *",
    "every 2 weeks",
    "every day (Europe/Berlin)",
    "a new version of mlq:churn",
    "drift of the endpoint churn",
    "a signed request for main",
  ]);
});
