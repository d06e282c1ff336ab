import { stringify, parse } from "yaml";
import type { Schedule } from "../api/client";

export const TRIGGERS = ["cron", "recurrence", "data", "files", "drift", "webhook"] as const;
export type TriggerType = (typeof TRIGGERS)[number];
export const OVERLAPS = ["allow", "skip", "queue", "cancel_previous"] as const;
export const CATCH_UPS = ["latest", "all", "none"] as const;
export const FREQUENCIES = ["minute", "hour", "day", "week", "month"] as const;

/** A schedule as a form has it; every text as it was typed. */
export interface ScheduleForm {
  name: string;
  type: TriggerType;
  expression: string;
  frequency: (typeof FREQUENCIES)[number];
  interval: string;
  hours: string;
  minutes: string;
  weekDays: string;
  timeZone: string;
  data: string;
  path: string;
  endpoint: string;
  branch: string;
  overlap: (typeof OVERLAPS)[number];
  catchUp: (typeof CATCH_UPS)[number];
  /** The job, as YAML. */
  job: string;
}

export const BLANK_FORM: ScheduleForm = {
  name: "",
  type: "cron",
  expression: "0 2 * * *",
  frequency: "day",
  interval: "1",
  hours: "",
  minutes: "",
  weekDays: "",
  timeZone: "UTC",
  data: "",
  path: "",
  endpoint: "",
  branch: "",
  overlap: "skip",
  catchUp: "latest",
  job: "type: command\ncommand: echo ${{creation_context.trigger_time}}\n",
};

type Written = Record<string, unknown>;

function numbers(text: string): number[] {
  return text.split(/[\s,]+/).flatMap((word) => (word === "" ? [] : [Number(word)]));
}

function triggerOf(form: ScheduleForm): Written {
  const zone = { time_zone: form.timeZone || "UTC" };
  switch (form.type) {
    case "cron":
      return { type: "cron", expression: form.expression, ...zone };
    case "recurrence": {
      const [hours, minutes] = [numbers(form.hours), numbers(form.minutes)];
      const weekDays = form.weekDays.split(/[\s,]+/).filter(Boolean);
      const pattern = {
        ...(hours.length > 0 && { hours }),
        ...(minutes.length > 0 && { minutes }),
        ...(weekDays.length > 0 && { week_days: weekDays }),
      };
      return {
        type: "recurrence",
        frequency: form.frequency,
        interval: Number(form.interval),
        ...zone,
        ...(Object.keys(pattern).length > 0 && { schedule: pattern }),
      };
    }
    case "data":
      return { type: "data", data: form.data };
    case "files":
      return { type: "files", path: form.path, data: form.data };
    case "drift":
      return { type: "drift", endpoint: form.endpoint };
    case "webhook":
      return { type: "webhook", ...(form.branch && { branch: form.branch }) };
  }
}

/** The schedule file that a form means. Raises Error where its job is no YAML mapping. */
export function documentOf(form: ScheduleForm): Written {
  const job: unknown = parse(form.job);
  if (typeof job !== "object" || job === null || Array.isArray(job)) {
    throw new Error("The job is a mapping, such as `type: command` and `command: …`.");
  }
  return {
    name: form.name,
    trigger: triggerOf(form),
    overlap: form.overlap,
    catch_up: form.catchUp,
    create_job: job,
  };
}

/** The form that shows a schedule; what it has no field for stays in its file (see `keep`). */
export function formOf(schedule: Schedule): ScheduleForm {
  const trigger = schedule.trigger as Record<string, unknown>;
  const pattern = (trigger.schedule ?? {}) as Record<string, unknown>;
  const text = (value: unknown) =>
    Array.isArray(value) ? value.join(", ") : value === undefined ? "" : String(value);
  return {
    ...BLANK_FORM,
    name: schedule.name,
    type: TRIGGERS.find((one) => one === trigger.type) ?? "cron",
    expression: text(trigger.expression) || BLANK_FORM.expression,
    frequency: FREQUENCIES.find((one) => one === trigger.frequency) ?? "day",
    interval: text(trigger.interval) || "1",
    hours: text(pattern.hours),
    minutes: text(pattern.minutes),
    weekDays: text(pattern.week_days),
    timeZone: text(trigger.time_zone) || "UTC",
    data: text(trigger.data),
    path: text(trigger.path),
    endpoint: text(trigger.endpoint),
    branch: text(trigger.branch),
    overlap: OVERLAPS.find((one) => one === schedule.overlap) ?? "allow",
    catchUp: CATCH_UPS.find((one) => one === schedule.catch_up) ?? "latest",
    job: stringify(schedule.job),
  };
}

/** `document` with what `schedule` says beyond the fields of a form: nothing of it may be lost. */
export function keep(document: Written, schedule: Schedule): Written {
  const before = schedule.trigger as Written;
  const trigger = document.trigger as Written;
  const isSame = before.type === trigger.type;
  const beyond = ["start_time", "end_time"].filter((key) => key in before);
  const monthDays = (before.schedule as Written | undefined)?.month_days;
  return {
    ...document,
    display_name: schedule.display_name,
    description: schedule.description,
    tags: schedule.tags,
    trigger: {
      ...trigger,
      ...(isSame && Object.fromEntries(beyond.map((key) => [key, before[key]]))),
      ...(isSame &&
        monthDays !== undefined && {
          schedule: { ...(trigger.schedule as Written), month_days: monthDays },
        }),
    },
  };
}

/** When a trigger fires, in words. */
export function triggerWords(trigger: Readonly<Record<string, unknown>>): string {
  const zone = trigger.time_zone && trigger.time_zone !== "UTC" ? ` (${trigger.time_zone})` : "";
  switch (trigger.type) {
    case "cron":
      return `cron ${String(trigger.expression)}${zone}`;
    case "recurrence": {
      const count = Number(trigger.interval ?? 1);
      const what = String(trigger.frequency);
      return `every ${count === 1 ? what : `${count} ${what}s`}${zone}`;
    }
    case "data":
      return `a new version of ${String(trigger.data)}`;
    case "files":
      return `a file at ${String(trigger.path)}`;
    case "drift":
      return `drift of the endpoint ${String(trigger.endpoint)}`;
    case "webhook":
      return `a signed request${trigger.branch ? ` for ${String(trigger.branch)}` : ""}`;
    default:
      return String(trigger.type);
  }
}
