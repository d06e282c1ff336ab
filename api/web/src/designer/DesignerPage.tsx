import { Alert, Anchor, Button, Group, Select, Stack, Text } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { Play, Redo2, Undo2 } from "lucide-react";
import {
  lazy,
  memo,
  Suspense,
  useDeferredValue,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { stringify } from "yaml";
import { client, type Component, type Job, take } from "../api/client";
import {
  batchDeployment,
  components as componentsQuery,
  jobSpec,
  queues as queuesQuery,
} from "../api/queries";
import { root } from "../api/root";
import { CopyMenu } from "../parts/copy";
import { Loaded, Page, Section, Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { type VirtualColumn, VirtualTable } from "../parts/VirtualTable";
import { ChangeTable } from "./ChangeTable";
import { type Change, changesOf } from "./changes";
import { checkFile, mediaTypeOf, type Problem, stepsOf, type Verdict } from "./check";
import { exportsOf } from "./exports";
import {
  addStep,
  asYaml,
  type Binding,
  bindingOf,
  BLANK,
  copySteps,
  freeName,
  isFault,
  pasteSteps,
  type Pipeline,
  readPipeline,
  removeStep,
  renameStep,
  setInput,
  type Step,
} from "./pipeline";
import { Publish } from "./Publish";
import type { CanvasActs } from "./Canvas";
import { StepForm } from "./StepForm";
import { useDraft } from "./useDraft";

const Canvas = lazy(() => import("./Canvas"));
const YamlEditor = lazy(() => import("./YamlEditor"));
const route = getRouteApi("/designer");
const PAUSE_MS = 300;
const EMPTY: Pipeline = { inputs: [], steps: [], bindings: [] };

export default function DesignerPage() {
  const { from, endpoint = "", deployment = "", version } = route.useSearch();
  const query = useQuery({ ...jobSpec(from ?? ""), enabled: Boolean(from) });
  const published = useQuery({
    ...batchDeployment(endpoint, deployment, version),
    enabled: endpoint !== "" && deployment !== "",
  });
  if (endpoint && deployment) {
    return (
      <Loaded query={published}>
        {({ job, version: shown }) => (
          <Designer key={`${endpoint} ${deployment} ${shown}`} begin={stringify(job)} />
        )}
      </Loaded>
    );
  }
  if (!from) return <Designer key="draft" />;
  return <Loaded query={query}>{(text) => <Opened key={from} text={text} />}</Loaded>;
}

function Opened({ text }: { text: string }) {
  return <Designer begin={useMemo(() => asYaml(text), [text])} />;
}

function Designer({ begin }: { begin?: string }) {
  const { step: selected, endpoint, deployment, against } = route.useSearch();
  const navigate = route.useNavigate();
  const select = (step?: string) =>
    void navigate({ search: (old) => ({ ...old, step }), replace: true });
  const { text, change, undo, redo } = useDraft(begin, BLANK);
  const found = useQuery(componentsQuery).data?.items ?? NO_COMPONENTS;
  const components = useMemo(() => new Map(found.map((one) => [one.name, one])), [found]);
  const deferred = useDeferredValue(text);
  const read = useMemo(() => readPipeline(deferred), [deferred]);
  const fault = isFault(read) ? read : undefined;
  // While the text is no YAML, the picture stays as it last was; so it does where a key changed
  // nothing of it, or a large one would be drawn anew at every key.
  const last = useRef(EMPTY);
  if (!isFault(read) && JSON.stringify(read) !== JSON.stringify(last.current)) last.current = read;
  const pipeline = last.current;
  const { verdict, error } = useVerdict(text);
  const problems: readonly Problem[] = fault
    ? [{ path: "", message: fault.message, line: fault.line }]
    : verdict && "problems" in verdict
      ? verdict.problems
      : NO_PROBLEMS;
  const plan = verdict && "plan" in verdict ? verdict.plan : undefined;
  const step = pipeline.steps.find((one) => one.name === selected);
  const [wanted, setWanted] = useState("");
  const add = (name: string | null) => {
    setWanted("");
    if (!name || fault) return;
    const component = components.get(name);
    const free = freeName(pipeline, component ? name.replace(/^.*:/, "") : "command");
    change(addStep(text, free, component));
    select(free);
  };
  const remove = (name: string) => {
    change(removeStep(text, name));
    if (name === selected) select();
  };
  const paste = (copied: string) => {
    const pasted = fault ? undefined : pasteSteps(text, copied);
    if (!pasted) {
      notifications.show({ color: "red", message: "There is no step on the clipboard." });
      return;
    }
    const [next, [first]] = pasted;
    change(next);
    select(first);
  };
  const other = useOther(begin);
  const changes = useMemo(
    () => (other === undefined ? NO_CHANGES : changesOf(other, text)),
    [other, text],
  );
  const changed = useMemo(
    () =>
      new Map(
        changes.flatMap(({ step, kind, path }): [string, "added" | "changed"][] =>
          step && (path || kind === "added") ? [[step, path ? "changed" : "added"]] : [],
        ),
      ),
    [changes],
  );
  const wrong = useMemo(() => stepsOf(problems), [problems]);
  const bind = ({ from, output, to, input }: Binding) =>
    change(setInput(text, to, input, bindingOf(from, output)));
  const acts = useStable<CanvasActs>({
    onSelect: select,
    onBind: bind,
    onUnbind: ({ to, input }) => change(setInput(text, to, input, undefined)),
    onRemove: remove,
    onCopy: (name) => copySteps(text, [name]),
    onPaste: paste,
    onRefuse: (reason) => notifications.show({ color: "red", message: reason }),
  });
  return (
    <Page
      title="Designer"
      actions={
        <>
          <Button
            variant="default"
            disabled={!undo}
            onClick={undo}
            leftSection={<Undo2 size={14} aria-hidden />}
          >
            Undo
          </Button>
          <Button
            variant="default"
            disabled={!redo}
            onClick={redo}
            leftSection={<Redo2 size={14} aria-hidden />}
          >
            Redo
          </Button>
          <Button
            variant="default"
            onClick={() => {
              change(BLANK);
              select();
            }}
          >
            New
          </Button>
          <CopyMenu forms={exportsOf(text, location.origin + root)} />
          <Publish
            text={text}
            isReady={Boolean(plan) && !fault}
            endpoint={endpoint}
            deployment={deployment}
          />
          <Submit text={text} isReady={Boolean(plan) && !fault} />
        </>
      }
    >
      <Group gap="sm" align="end">
        <Select
          label="Add a step"
          placeholder="Component"
          searchable
          value={null}
          searchValue={wanted}
          onSearchChange={setWanted}
          disabled={Boolean(fault)}
          data={[...components.keys(), "command"]}
          onChange={add}
          maw={280}
        />
        {begin !== undefined && <Against begin={begin} text={text} />}
        <Verdicts problems={problems} plan={plan} isFault={Boolean(fault)} error={error} />
      </Group>
      <div className="split designer">
        <Stack gap="sm" style={{ minWidth: 0 }}>
          <Suspense fallback={<div className="card designer-canvas" />}>
            <Canvas
              pipeline={pipeline}
              components={components}
              plan={plan}
              wrong={wrong}
              changed={changed}
              selected={step?.name}
              {...acts}
            />
          </Suspense>
          {step ? (
            <StepForm
              key={step.name}
              step={step}
              pipeline={pipeline}
              components={components}
              problems={problems}
              onSet={(input, value) => change(setInput(text, step.name, input, value))}
              onRename={(name) => {
                const free = freeName(pipeline, name);
                change(renameStep(text, step.name, free));
                select(free);
              }}
              onRemove={() => remove(step.name)}
              onDuplicate={() => paste(copySteps(text, [step.name]))}
            />
          ) : null}
          {against !== undefined && other !== undefined && (
            <ChangeTable changes={changes} against={againstWords(against)} />
          )}
          <StepList
            pipeline={pipeline}
            plan={plan}
            selected={step?.name}
            onSelect={acts.onSelect}
          />
        </Stack>
        <Suspense fallback={<div className="card designer-text" />}>
          <YamlEditor text={text} problems={problems} onChange={change} />
        </Suspense>
      </div>
    </Page>
  );
}

function againstWords(against: "opened" | number): string {
  return against === "opened" ? "it was opened" : `version ${against}`;
}

/** The file that the address compares with; undefined while there is none. */
function useOther(begin: string | undefined): string | undefined {
  const { endpoint = "", deployment = "", against } = route.useSearch();
  const version = typeof against === "number" ? against : undefined;
  const published = useQuery({
    ...batchDeployment(endpoint, deployment, version),
    enabled: version !== undefined && endpoint !== "" && deployment !== "",
  }).data;
  const text = useMemo(() => published && stringify(published.job), [published]);
  return against === "opened" ? begin : version === undefined ? undefined : text;
}

/** What the file may be compared with: as it was opened, and versions that were published. */
function Against({ begin, text }: { begin: string; text: string }) {
  const { endpoint = "", deployment = "", version, against } = route.useSearch();
  const navigate = route.useNavigate();
  const newest = useQuery({
    ...batchDeployment(endpoint, deployment),
    enabled: endpoint !== "" && deployment !== "",
  }).data?.version;
  const versions = Array.from({ length: newest ?? 0 }, (_, index) => (newest ?? 0) - index);
  return (
    <Select
      label="Compare with"
      placeholder={begin === text ? "Nothing is changed yet" : "Nothing"}
      clearable
      w={210}
      data={[
        { value: "opened", label: "As it was opened" },
        ...versions
          .filter((one) => one !== version)
          .map((one) => ({ value: String(one), label: `Version ${one}` })),
      ]}
      value={against === undefined ? null : String(against)}
      onChange={(chosen) =>
        void navigate({
          search: (old) => ({
            ...old,
            against: chosen === "opened" ? "opened" : Number(chosen) || undefined,
          }),
          replace: true,
        })
      }
    />
  );
}

const NO_PROBLEMS: readonly Problem[] = [];
const NO_COMPONENTS: readonly Component[] = [];
const NO_CHANGES: Change[] = [];

/** The server's verdict on the file as it is now, a moment after the last key. */
function useVerdict(text: string): { verdict?: Verdict; error?: string } {
  const [told, setTold] = useState<{ verdict?: Verdict; error?: string }>({});
  useEffect(() => {
    const stop = new AbortController();
    const timer = window.setTimeout(() => {
      checkFile(text, stop.signal).then(
        (verdict) => setTold({ verdict }),
        () => {
          if (!stop.signal.aborted) setTold({ error: "The server does not answer: unchecked." });
        },
      );
    }, PAUSE_MS);
    return () => {
      window.clearTimeout(timer);
      stop.abort();
    };
  }, [text]);
  return told;
}

function Verdicts({
  problems,
  plan,
  isFault,
  error,
}: {
  problems: readonly Problem[];
  plan?: { jobs: readonly { path: string; reuses?: string | null }[] };
  isFault: boolean;
  error?: string;
}) {
  if (error) return <Text size="sm">{error}</Text>;
  if (problems.length === 0) {
    if (!plan)
      return (
        <Text size="sm" className="quiet">
          Checking…
        </Text>
      );
    const reused = plan.jobs.filter((job) => job.reuses).length;
    return (
      <Text size="sm" role="status">
        {`The server would take it: ${plan.jobs.length - 1 || 1} steps`}
        {reused > 0 && `, ${reused} with outputs that are there already`}
      </Text>
    );
  }
  return (
    <Alert
      color="red"
      variant="light"
      py="xs"
      role="status"
      title={isFault ? "This is not YAML; the picture shows the last that was" : undefined}
    >
      {problems.slice(0, 4).map(({ line, path, message, suggestion }) => (
        <Text size="sm" key={`${path}${message}`}>
          {line ? `Line ${line}: ` : ""}
          {path && <span className="mono">{path} </span>}
          {message}
          {suggestion && ` Did you mean '${suggestion}'?`}
        </Text>
      ))}
      {problems.length > 4 && <Text size="sm">… and {problems.length - 4} more.</Text>}
    </Alert>
  );
}

/** The same functions for as long as the component lives; each calls what was given last. */
function useStable<T extends object>(given: T): T {
  const latest = useRef(given);
  latest.current = given;
  return useMemo(
    () =>
      Object.fromEntries(
        Object.keys(latest.current).map((name) => [
          name,
          (...args: unknown[]) =>
            (latest.current as Record<string, (...args: unknown[]) => unknown>)[name]!(...args),
        ]),
      ) as T,
    [],
  );
}

/** All steps without the picture: for keys, and for what a dry run says of each. */
const StepList = memo(function StepList({
  pipeline,
  plan,
  selected,
  onSelect,
}: {
  pipeline: Pipeline;
  plan?: { jobs: readonly { path: string; compute?: string | null; reuses?: string | null }[] };
  selected?: string;
  onSelect: (name: string) => void;
}) {
  const queues = useQuery(queuesQuery).data?.items;
  const columns = useMemo((): VirtualColumn<Step>[] => {
    const waiting = new Map(queues?.map((one) => [one.compute, one]));
    const planned = new Map(plan?.jobs.map((job) => [job.path, job]));
    const before = new Map<string, Set<string>>();
    for (const { from, to } of pipeline.bindings) {
      before.set(to, (before.get(to) ?? new Set()).add(from));
    }
    const after = ({ name }: Step) => [...(before.get(name) ?? [])].join(", ") || "–";
    const queue = ({ name }: Step) => {
      const compute = planned.get(name)?.compute;
      if (!compute) return "–";
      const found = waiting.get(compute);
      return `${compute} (${found?.slots ? `${found.queued} wait` : "nobody serves it"})`;
    };
    return [
      {
        name: "Step",
        cell: ({ name }) => (
          <Anchor component="button" size="sm" onClick={() => onSelect(name)}>
            {name}
          </Anchor>
        ),
      },
      { name: "Runs", cell: (step) => step.component ?? step.type },
      { name: "After", cell: after, title: after },
      { name: "Queue", cell: queue, title: queue },
      {
        name: "Would",
        cell: ({ name }) => {
          const job = planned.get(name);
          return job ? (job.reuses ? "reuse outputs" : "run") : "–";
        },
      },
    ];
  }, [pipeline, plan, queues, onSelect]);
  return (
    <Section title="Steps">
      <VirtualTable
        label="Steps"
        rows={pipeline.steps}
        columns={columns}
        widths="minmax(7rem, 1fr) minmax(7rem, 1fr) minmax(6rem, 1fr) minmax(7rem, 1fr) 7rem"
        leastRem={38}
        maxHeight="40vh"
        keyOf={({ name }) => name}
        isMarked={({ name }) => name === selected}
      />
    </Section>
  );
});

function Submit({ text, isReady }: { text: string; isReady: boolean }) {
  const mayAct = useMayAct();
  const navigate = route.useNavigate();
  const submit = useMutation({
    mutationFn: () =>
      take(
        client.POST("/v1/jobs", {
          body: text as never,
          bodySerializer: (body: unknown) => body as string,
          headers: { "content-type": mediaTypeOf(text) },
        }),
      ) as Promise<Job>,
    onSuccess: (job) => void navigate({ to: "/jobs/$ref", params: { ref: job.id } }),
  });
  return (
    <>
      <Button
        disabled={!mayAct || !isReady}
        title={mayAct ? undefined : "Your token only looks"}
        loading={submit.isPending}
        leftSection={<Play size={14} aria-hidden />}
        onClick={() => submit.mutate()}
      >
        Submit
      </Button>
      {submit.error && <Trouble error={submit.error} />}
    </>
  );
}
