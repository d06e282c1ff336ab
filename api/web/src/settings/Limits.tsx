import {
  Autocomplete,
  Button,
  Group,
  NumberInput,
  Progress,
  Stack,
  Table,
  Text,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, type Limit, take } from "../api/client";
import { limits, projects, quotas, whoami } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { CopyAs } from "../parts/copy";
import { Empty, Loaded, Section, Trouble } from "../parts/page";
import { Ago } from "../parts/time";

interface Kind {
  title: string;
  /** The command that does the same, and the end of its address. */
  noun: "limit" | "quota";
  what: string;
  words: string;
  set: (name: string, slots: number) => Promise<unknown>;
  remove: (name: string) => Promise<unknown>;
  after: string;
}

const LIMIT: Kind = {
  title: "Concurrency limits",
  noun: "limit",
  what: "Limit",
  words: "Steps that name a limit in their job file never run more at once than it allows.",
  set: (name, slots) =>
    take(client.PUT("/v1/limits/{name}", { params: { path: { name } }, body: { slots } })),
  remove: (name) => take(client.DELETE("/v1/limits/{name}", { params: { path: { name } } })),
  after: "Steps that name it run freely from now on; new jobs may not name it any more.",
};
const QUOTA: Kind = {
  title: "Quotas of projects",
  noun: "quota",
  what: "Project",
  words: "A project never runs more steps at once than its quota; without one it shares evenly.",
  set: (name, slots) =>
    take(client.PUT("/v1/quotas/{name}", { params: { path: { name } }, body: { slots } })),
  remove: (name) => take(client.DELETE("/v1/quotas/{name}", { params: { path: { name } } })),
  after: "The project shares with the others from now on.",
};

/** How much may be in use at once, on all machines together. */
export function Limits() {
  const known = useQuery(projects).data?.items ?? [];
  return (
    <Stack gap="xl">
      <Shown kind={LIMIT} query={useQuery(limits)} names={[]} />
      <Shown kind={QUOTA} query={useQuery(quotas)} names={known.map((one) => one.name)} />
    </Stack>
  );
}

interface Props {
  kind: Kind;
  query: { data?: { items: Limit[] }; error: unknown };
  /** What may be set. */
  names: string[];
}

function Shown({ kind, query, names }: Props) {
  const isAdmin = useQuery(whoami).data?.role === "admin";
  const queries = useQueryClient();
  const [doomed, setDoomed] = useState<Limit>();
  return (
    <Section
      title={kind.title}
      actions={<CopyAs cli={`${kind.noun} list`} path={`${kind.noun}s`} />}
    >
      <Text size="sm">{kind.words}</Text>
      {isAdmin && <Setter kind={kind} names={names} />}
      <Loaded query={{ data: query.data, error: query.error }}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty command={`mlq ${kind.noun} set NAME 4`}>None is set:</Empty>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
              <Table aria-label={kind.title}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>{kind.what}</Table.Th>
                    <Table.Th w="30%">In use</Table.Th>
                    <Table.Th>Wait for it</Table.Th>
                    <Table.Th>Set</Table.Th>
                    <Table.Th>
                      <span className="quiet">Act</span>
                    </Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.name}>
                      <Table.Td>{one.name}</Table.Td>
                      <Table.Td>
                        <Progress
                          value={
                            one.slots > 0 ? Math.min(100, (one.in_use / one.slots) * 100) : 100
                          }
                          aria-label={`${one.in_use} of ${one.slots} in use`}
                        />
                        <Text size="xs" className="quiet">
                          {one.in_use} of {one.slots}
                        </Text>
                      </Table.Td>
                      <Table.Td className={one.waiting > 0 ? "waiting" : undefined}>
                        {one.waiting === 1 ? "1 step" : `${one.waiting} steps`}
                      </Table.Td>
                      <Table.Td>
                        <Ago at={one.set_at} /> by {one.set_by}
                      </Table.Td>
                      <Table.Td>
                        {isAdmin && (
                          <Button
                            size="compact-xs"
                            variant="default"
                            aria-label={`Remove ${one.name}`}
                            onClick={() => setDoomed(one)}
                          >
                            Remove
                          </Button>
                        )}
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
      <Confirm
        opened={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title={`Remove the ${kind.noun} ${doomed?.name ?? ""}?`}
        act={`Remove the ${kind.noun}`}
        danger
        onConfirm={async () => {
          if (!doomed) return;
          const { name, slots } = doomed;
          await kind.remove(name);
          await queries.invalidateQueries({ queryKey: [`${kind.noun}s`] });
          tellDone(`The ${kind.noun} ${name} is gone.`, async () => {
            await kind.set(name, slots);
            await queries.invalidateQueries({ queryKey: [`${kind.noun}s`] });
          });
        }}
      >
        {kind.after}
      </Confirm>
    </Section>
  );
}

/** A new limit, or another number for one that is there. */
function Setter({ kind, names }: { kind: Kind; names: string[] }) {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [slots, setSlots] = useState<number | string>(4);
  const set = useMutation({
    mutationFn: () => kind.set(name, Number(slots)),
    onSuccess: async () => {
      setName("");
      await queries.invalidateQueries({ queryKey: [`${kind.noun}s`] });
    },
  });
  return (
    <form
      aria-label={`Set a ${kind.noun}`}
      onSubmit={(event) => {
        event.preventDefault();
        set.mutate();
      }}
    >
      <Stack gap="xs">
        <Group align="end" gap="xs">
          <Autocomplete label={kind.what} required data={names} value={name} onChange={setName} />
          <NumberInput
            label="Steps at once"
            required
            min={0}
            allowDecimal={false}
            value={slots}
            onChange={setSlots}
            w={140}
          />
          <Button type="submit" loading={set.isPending}>
            {`Set the ${kind.noun}`}
          </Button>
        </Group>
        {set.error && <Trouble error={set.error} />}
      </Stack>
    </form>
  );
}
