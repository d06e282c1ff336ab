import {
  ActionIcon,
  Button,
  Checkbox,
  Group,
  NumberInput,
  Select,
  Stack,
  Text,
  TextInput,
  Title,
} from "@mantine/core";
import { CopyPlus, Trash2 } from "lucide-react";
import { useState } from "react";
import { parse } from "yaml";
import type { Component, ComponentPort } from "../api/client";
import type { Problem } from "./check";
import { bindingOf, boundTo, isStored, type Pipeline, type Step, whyNot } from "./pipeline";

interface Props {
  step: Step;
  pipeline: Pipeline;
  components: ReadonlyMap<string, Component>;
  problems: readonly Problem[];
  onSet: (input: string, value: unknown) => void;
  onRename: (name: string) => void;
  onRemove: () => void;
  onDuplicate: () => void;
}

/** A step's inputs as a form, made from the ports of its component. */
export function StepForm({
  step,
  pipeline,
  components,
  problems,
  onSet,
  onRename,
  onRemove,
  onDuplicate,
}: Props) {
  const component = step.component ? components.get(step.component) : undefined;
  const ports: Record<string, ComponentPort | undefined> = {
    ...component?.inputs,
    ...Object.fromEntries(Object.keys(step.inputs).map((name) => [name, component?.inputs[name]])),
  };
  const own = problems.filter(({ path }) => path.startsWith(`jobs.${step.name}`));
  const errorOf = (input: string) =>
    own.find(({ path }) => path === `jobs.${step.name}.inputs.${input}`)?.message;
  const elsewhere = own.filter(
    ({ path }) => !Object.keys(ports).some((name) => path.endsWith(`.inputs.${name}`)),
  );
  return (
    <Stack className="card" p="sm" gap="xs" component="section" aria-label={`Step ${step.name}`}>
      <Group justify="space-between" wrap="nowrap">
        <Title order={2}>{step.name}</Title>
        <Group gap={4} wrap="nowrap">
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Duplicate ${step.name}`}
            title="Duplicate (on the canvas: Ctrl C, Ctrl V)"
            onClick={onDuplicate}
          >
            <CopyPlus size={16} aria-hidden />
          </ActionIcon>
          <ActionIcon
            variant="subtle"
            color="red"
            aria-label={`Remove ${step.name}`}
            title="Remove (on the canvas: Delete)"
            onClick={onRemove}
          >
            <Trash2 size={16} aria-hidden />
          </ActionIcon>
        </Group>
      </Group>
      <Text size="sm" className="quiet">
        {component?.description || step.component || `A ${step.type}: its file says the rest.`}
      </Text>
      {elsewhere.map(({ path, message }) => (
        <Text key={path + message} size="sm" c="var(--state-failed)">
          {message}
        </Text>
      ))}
      <Late label="Name" value={step.name} onCommit={(name) => name && onRename(name)} />
      {Object.entries(ports).map(([name, port]) => (
        <InputField
          key={name}
          name={name}
          port={port}
          value={step.inputs[name]}
          error={errorOf(name)}
          sources={sourcesFor(step, name, pipeline, components)}
          onSet={(value) => onSet(name, value)}
        />
      ))}
      {component?.open_inputs && <OpenInput taken={Object.keys(ports)} onSet={onSet} />}
    </Stack>
  );
}

interface FieldProps {
  name: string;
  port?: ComponentPort;
  value: unknown;
  error?: string;
  sources: [string, string][];
  onSet: (value: unknown) => void;
}

function InputField({ name, port, value, error, sources, onSet }: FieldProps) {
  const bound = boundTo(value);
  const label = port && !port.optional && port.default == null ? `${name} *` : name;
  const description = port?.description || undefined;
  if (bound || (port && isStored(port.type) && sources.length > 0)) {
    const chosen = bound ? bindingOf(...bound) : shown(value);
    const options = sources.map(([step, output]) => ({
      value: bindingOf(step, output),
      label: `${step} → ${output}`,
    }));
    const isKnown = !chosen || options.some((one) => one.value === chosen);
    return (
      <Group gap="xs" align="end" wrap="nowrap">
        <Select
          label={label}
          description={description}
          error={error}
          placeholder="An output, or nothing"
          clearable
          style={{ flex: 1 }}
          data={isKnown ? options : [...options, { value: chosen, label: chosen }]}
          value={chosen || null}
          onChange={(next) => onSet(next ?? undefined)}
        />
        {!bound && (
          <Late
            label="or a reference"
            value={shown(value)}
            onCommit={(text) => onSet(text || undefined)}
          />
        )}
      </Group>
    );
  }
  if (port?.enum) {
    return (
      <Select
        label={label}
        description={description}
        error={error}
        clearable={port.optional}
        placeholder={shown(port.default)}
        data={port.enum.map(String)}
        value={value == null ? null : String(value)}
        onChange={(next) => onSet(next ?? undefined)}
      />
    );
  }
  if (port?.type === "boolean") {
    return (
      <Checkbox
        label={name}
        description={description}
        error={error}
        checked={Boolean(value ?? port.default)}
        onChange={(event) => onSet(event.currentTarget.checked)}
      />
    );
  }
  if (port?.type === "number" || port?.type === "integer") {
    return (
      <NumberInput
        label={label}
        description={description}
        error={error}
        placeholder={shown(port.default)}
        allowDecimal={port.type === "number"}
        value={typeof value === "number" || typeof value === "string" ? value : ""}
        onChange={(next) => onSet(next === "" ? undefined : next)}
      />
    );
  }
  return (
    <Late
      label={label}
      description={description}
      error={error}
      placeholder={shown(port?.default)}
      value={shown(value)}
      onCommit={(text) =>
        onSet(text === "" ? undefined : port?.type === "string" ? text : parsed(text))
      }
    />
  );
}

/** A text that counts when it is left or Enter is pressed: half a word is no value. */
function Late({
  value,
  onCommit,
  ...rest
}: {
  label: string;
  value: string;
  onCommit: (text: string) => void;
  description?: string;
  error?: string;
  placeholder?: string;
}) {
  const [typed, setTyped] = useState<string>();
  const commit = () => {
    if (typed !== undefined && typed !== value) onCommit(typed.trim());
    setTyped(undefined);
  };
  return (
    <TextInput
      {...rest}
      value={typed ?? value}
      onChange={(event) => setTyped(event.currentTarget.value)}
      onBlur={commit}
      onKeyDown={(event) => {
        if (event.key === "Enter") commit();
      }}
    />
  );
}

function OpenInput({
  taken,
  onSet,
}: {
  taken: string[];
  onSet: (input: string, value: unknown) => void;
}) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        onSet(name.trim(), parsed(value));
        setName("");
        setValue("");
      }}
    >
      <Group gap="xs" align="end" wrap="nowrap">
        <TextInput
          label="Further input"
          value={name}
          onChange={(event) => setName(event.currentTarget.value)}
        />
        <TextInput
          label="Value"
          value={value}
          onChange={(event) => setValue(event.currentTarget.value)}
        />
        <Button
          type="submit"
          variant="default"
          disabled={!name.trim() || taken.includes(name.trim())}
        >
          Add
        </Button>
      </Group>
    </form>
  );
}

/** Outputs of other steps that the input can take. */
function sourcesFor(
  step: Step,
  input: string,
  pipeline: Pipeline,
  components: ReadonlyMap<string, Component>,
): [string, string][] {
  return pipeline.steps.flatMap((other): [string, string][] => {
    const component = other.component ? components.get(other.component) : undefined;
    const outputs = new Set([...Object.keys(component?.outputs ?? {}), ...other.outputs]);
    return [...outputs]
      .filter((output) => {
        const binding = { from: other.name, output, to: step.name, input };
        return whyNot(pipeline, binding, components) === undefined;
      })
      .map((output) => [other.name, output]);
  });
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return text;
  }
}
