import { Alert, Anchor, Button, Code, Group, Skeleton, Stack, Text, Title } from "@mantine/core";
import type { ErrorComponentProps } from "@tanstack/react-router";
import { type ReactNode, useEffect } from "react";
import { ServerError } from "../api/client";

/** A page's frame: its heading, what can be done, and the tab's title. */
export function Page({
  title,
  heading,
  actions,
  children,
}: {
  title: string;
  heading?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  useEffect(() => {
    document.title = `${title} · mlq`;
  }, [title]);
  return (
    <Stack gap="md">
      <Group justify="space-between" align="start" gap="sm">
        <Title order={1} style={{ overflowWrap: "anywhere" }}>
          {heading ?? title}
        </Title>
        <Group gap="xs">{actions}</Group>
      </Group>
      {children}
    </Stack>
  );
}

/** What went wrong and what to do. */
export function Trouble({ error }: { error: unknown }) {
  const hint = error instanceof ServerError ? error.hint : undefined;
  return (
    <Alert
      color="red"
      variant="light"
      title={error instanceof Error ? error.message : "It failed."}
    >
      {hint ?? "Try again; `mlq doctor` says more."}
    </Alert>
  );
}

/** The last resort of a page that cannot be shown. */
export function Broken({ error, reset }: ErrorComponentProps) {
  return (
    <Stack align="start">
      <Title order={1}>This page cannot be shown</Title>
      <Trouble error={error} />
      <Button onClick={reset}>Try again</Button>
    </Stack>
  );
}

/** A query's data, or its place holder, or its trouble. */
export function Loaded<T>({
  query,
  children,
}: {
  query: { data: T | undefined; error: unknown };
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Trouble error={query.error} />;
  return (
    <Stack role="status" aria-busy="true" aria-label="Loading">
      <Skeleton height={28} width="40%" />
      <Skeleton height={160} />
    </Stack>
  );
}

/** As `Loaded`, of a whole page: its trouble has the page's title over it. */
export function LoadedPage<T>({
  title,
  ...loaded
}: {
  title: string;
  query: { data: T | undefined; error: unknown };
  children: (data: T) => ReactNode;
}) {
  if (loaded.query.data === undefined && loaded.query.error) {
    return (
      <Page title={title}>
        <Trouble error={loaded.query.error} />
      </Page>
    );
  }
  return <Loaded {...loaded} />;
}

/** Nothing there yet: what it would be, and the command that makes the first. */
export function Empty({ children, command }: { children: ReactNode; command?: string }) {
  return (
    <Stack className="card" p="lg" gap="xs" align="start">
      <Text>{children}</Text>
      {command && <Code fz="sm">{command}</Code>}
    </Stack>
  );
}

export function Section({
  title,
  children,
  actions,
}: {
  title: string;
  children: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <Stack gap="xs" component="section" aria-label={title}>
      <Group justify="space-between">
        <Title order={2}>{title}</Title>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}

/** Names and values, one a line. */
export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl
      style={{
        display: "grid",
        gridTemplateColumns: "minmax(6rem, auto) minmax(0, 1fr)",
        gap: "0.25rem 1rem",
        margin: 0,
        fontSize: "0.9rem",
      }}
    >
      {rows.map(([name, value]) => (
        <div key={name} style={{ display: "contents" }}>
          <dt className="quiet">{name}</dt>
          <dd style={{ margin: 0, overflowWrap: "anywhere" }}>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Download({ href, children }: { href: string; children: ReactNode }) {
  return (
    <Anchor href={href} download size="sm">
      {children}
    </Anchor>
  );
}
