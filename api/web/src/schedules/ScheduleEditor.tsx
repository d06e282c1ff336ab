import {
  Alert,
  Button,
  Group,
  List,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { getRouteApi, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { client, type Schedule, take } from "../api/client";
import { datasets, jobSpec, schedule as scheduleQuery } from "../api/queries";
import { CopyAs, CopyValue } from "../parts/copy";
import { Loaded, Page, Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { Until } from "../parts/time";
import {
  BLANK_FORM,
  CATCH_UPS,
  documentOf,
  formOf,
  FREQUENCIES,
  keep,
  OVERLAPS,
  type ScheduleForm,
  TRIGGERS,
} from "./document";

const YamlEditor = lazy(() => import("../designer/YamlEditor"));
const route = getRouteApi("/schedule-editor");
const PAUSE_MS = 400;

export default function ScheduleEditorPage() {
  const { name, from } = route.useSearch();
  const stored = useQuery({ ...scheduleQuery(name ?? ""), enabled: Boolean(name) });
  const job = useQuery({ ...jobSpec(from ?? ""), enabled: Boolean(from) });
  if (name) {
    return (
      <Loaded query={stored}>
        {(schedule) => <Editor key={name} begin={formOf(schedule)} before={schedule} />}
      </Loaded>
    );
  }
  if (from) {
    return (
      <Loaded query={job}>
        {(text) => <Editor key={from} begin={{ ...BLANK_FORM, job: text }} />}
      </Loaded>
    );
  }
  return <Editor key="new" begin={BLANK_FORM} />;
}

interface Plan {
  next_times: string[];
}

/** The file that a form means, or why there is none. */
function read(form: ScheduleForm, before?: Schedule): Record<string, unknown> | Error {
  try {
    const document = documentOf(form);
    return before ? keep(document, before) : document;
  } catch (error) {
    return error as Error;
  }
}

function Editor({ begin, before }: { begin: ScheduleForm; before?: Schedule }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [form, setForm] = useState(begin);
  const change = (part: Partial<ScheduleForm>) => setForm((old) => ({ ...old, ...part }));
  const document = read(form, before);
  const put = (body: Record<string, unknown>, dryRun: boolean) =>
    take(
      client.PUT("/v1/schedules/{name}", {
        params: { path: { name: String(body.name) }, query: { dry_run: dryRun } },
        body: JSON.stringify(body) as never,
        bodySerializer: (text: unknown) => text as string,
        headers: { "content-type": "application/json" },
      }),
    );
  const [asked] = useDebouncedValue(
    document instanceof Error || !form.name ? "" : JSON.stringify(document),
    PAUSE_MS,
  );
  const check = useQuery({
    queryKey: ["schedule-check", asked],
    queryFn: () => put(JSON.parse(asked) as Record<string, unknown>, true) as Promise<Plan>,
    enabled: asked !== "" && mayAct,
    retry: false,
    placeholderData: (last) => last,
  });
  const save = useMutation({
    mutationFn: async () => {
      if (document instanceof Error) throw document;
      return (await put(document, false)) as Schedule;
    },
    onSuccess: async (made) => {
      await queries.invalidateQueries({ queryKey: ["schedules"] });
      await queries.invalidateQueries({ queryKey: ["schedule", made.name] });
      // A secret is in this answer and in no other: it must be read before the page goes.
      if (!made.secret) void navigate({ to: "/schedules/$name", params: { name: made.name } });
    },
  });
  return (
    <Page
      title={before ? `Edit ${before.name}` : "New schedule"}
      actions={
        document instanceof Error ? null : (
          <CopyAs
            cli={`schedule create -f ${form.name || "schedule"}.yml`}
            path={`schedules/${encodeURIComponent(form.name)}`}
            method="PUT"
            body={document}
          />
        )
      }
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          save.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
            <TextInput
              label="Name"
              required
              readOnly={before !== undefined}
              value={form.name}
              onChange={(event) => change({ name: event.currentTarget.value })}
            />
            <Pick
              label="Trigger"
              from={TRIGGERS}
              value={form.type}
              onPick={(type) => change({ type })}
            />
            <Pick
              label="While one runs"
              from={OVERLAPS}
              value={form.overlap}
              onPick={(overlap) => change({ overlap })}
            />
            <Pick
              label="Missed times"
              from={CATCH_UPS}
              value={form.catchUp}
              onPick={(catchUp) => change({ catchUp })}
            />
            <TriggerFields form={form} change={change} />
          </SimpleGrid>
          <Verdict
            plan={check.data}
            error={document instanceof Error ? document : check.error}
            isTimed={form.type === "cron" || form.type === "recurrence"}
          />
          <Text fw={600} size="sm">
            The job that it submits
          </Text>
          <Suspense fallback={<div className="card designer-text" />}>
            <YamlEditor text={form.job} problems={NONE} onChange={(job) => change({ job })} />
          </Suspense>
          {save.error && <Trouble error={save.error} />}
          {save.data?.secret && (
            <Alert color="green" variant="light" title={`The secret of ${save.data.name}`}>
              <CopyValue value={save.data.secret} />
              <Text size="sm">
                Enter it where your repository keeps its webhooks, with the address{" "}
                {save.data.hook_url}. It is shown this once.
              </Text>
            </Alert>
          )}
          <Group>
            <Button
              type="submit"
              loading={save.isPending}
              disabled={!mayAct || document instanceof Error}
              title={mayAct ? undefined : "Your token only looks"}
            >
              {before ? "Save the schedule" : "Make the schedule"}
            </Button>
          </Group>
        </Stack>
      </form>
    </Page>
  );
}

const NONE: never[] = [];

function TriggerFields({
  form,
  change,
}: {
  form: ScheduleForm;
  change: (part: Partial<ScheduleForm>) => void;
}) {
  const known = useQuery(datasets).data?.items ?? [];
  const zone = (
    <TextInput
      label="Time zone"
      value={form.timeZone}
      onChange={(event) => change({ timeZone: event.currentTarget.value })}
    />
  );
  const data = (
    <TextInput
      label="Data"
      required
      placeholder={known[0] ? `mlq:${known[0].name}` : "mlq:NAME"}
      value={form.data}
      onChange={(event) => change({ data: event.currentTarget.value })}
    />
  );
  switch (form.type) {
    case "cron":
      return (
        <>
          <TextInput
            label="Expression"
            description="Minute, hour, day, month, day of week"
            required
            value={form.expression}
            onChange={(event) => change({ expression: event.currentTarget.value })}
          />
          {zone}
        </>
      );
    case "recurrence":
      return (
        <>
          <TextInput
            label="Every"
            required
            inputMode="numeric"
            value={form.interval}
            onChange={(event) => change({ interval: event.currentTarget.value })}
          />
          <Pick
            label="Unit"
            from={FREQUENCIES}
            value={form.frequency}
            onPick={(frequency) => change({ frequency })}
          />
          {zone}
          {["day", "week", "month"].includes(form.frequency) && (
            <>
              <TextInput
                label="Hours"
                placeholder="6, 18"
                value={form.hours}
                onChange={(event) => change({ hours: event.currentTarget.value })}
              />
              <TextInput
                label="Minutes"
                placeholder="0"
                value={form.minutes}
                onChange={(event) => change({ minutes: event.currentTarget.value })}
              />
            </>
          )}
          {form.frequency === "week" && (
            <TextInput
              label="Days of the week"
              placeholder="monday, thursday"
              value={form.weekDays}
              onChange={(event) => change({ weekDays: event.currentTarget.value })}
            />
          )}
        </>
      );
    case "data":
      return data;
    case "files":
      return (
        <>
          <TextInput
            label="Path"
            required
            placeholder="s3://bucket/in/*.csv"
            value={form.path}
            onChange={(event) => change({ path: event.currentTarget.value })}
          />
          {data}
        </>
      );
    case "drift":
      return (
        <TextInput
          label="Endpoint"
          required
          placeholder="churn"
          value={form.endpoint}
          onChange={(event) => change({ endpoint: event.currentTarget.value })}
        />
      );
    case "webhook":
      return (
        <TextInput
          label="Branch"
          placeholder="any"
          value={form.branch}
          onChange={(event) => change({ branch: event.currentTarget.value })}
        />
      );
  }
}

function Pick<T extends string>({
  label,
  from,
  value,
  onPick,
}: {
  label: string;
  from: readonly T[];
  value: T;
  onPick: (value: T) => void;
}) {
  return (
    <Select
      label={label}
      data={[...from]}
      value={value}
      allowDeselect={false}
      onChange={(chosen) => onPick(chosen as T)}
    />
  );
}

/** What the server says of it, a moment after the last key. */
function Verdict({ plan, error, isTimed }: { plan?: Plan; error: unknown; isTimed: boolean }) {
  if (error) return <Trouble error={error} />;
  if (!plan) return null;
  if (!isTimed) return <Text size="sm">The server would take it.</Text>;
  if (plan.next_times.length === 0) {
    return <Alert color="orange">It would never fire: its end is in the past.</Alert>;
  }
  return (
    <Stack gap={4} role="status">
      <Text size="sm">The server would take it. It would fire at:</Text>
      <List size="sm">
        {plan.next_times.map((at) => (
          <List.Item key={at}>
            {new Date(at).toLocaleString()} <span className="quiet">({at})</span> <Until at={at} />
          </List.Item>
        ))}
      </List>
    </Stack>
  );
}
