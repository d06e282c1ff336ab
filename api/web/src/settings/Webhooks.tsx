import {
  Alert,
  Button,
  Code,
  Group,
  Select,
  Stack,
  Table,
  TagsInput,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, type Delivery, take, type Webhook } from "../api/client";
import { deliveries, webhooks } from "../api/queries";
import { Confirm, tellDone } from "../parts/confirm";
import { CopyAs, CopyValue } from "../parts/copy";
import { Empty, Loaded, Section, Trouble } from "../parts/page";
import { Ago } from "../parts/time";

const FORMS = ["json", "slack", "email"] as const;
/** Kinds that people ask for; any other kind of event may be typed. */
const KINDS = ["job.fail", "job.wait", "job", "model", "rollout", "schedule", "endpoint", "worker"];

/** Who is told of events, and what came of each message. */
export function Webhooks() {
  const query = useQuery(webhooks);
  const queries = useQueryClient();
  const [open, setOpen] = useState<string>();
  const [doomed, setDoomed] = useState<Webhook>();
  const test = useMutation({
    mutationFn: (name: string) =>
      take(client.POST("/v1/webhooks/{name}/test", { params: { path: { name } } })),
    onSuccess: (_, name) => {
      setOpen(name);
      void queries.invalidateQueries({ queryKey: ["webhooks", name] });
    },
    onError: (error) => tellDone(error.message),
  });
  return (
    <Section title="Webhooks" actions={<CopyAs cli="webhook list" path="webhooks" />}>
      <NewWebhook />
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Empty>No webhooks yet: nobody is told of what happens.</Empty>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={640}>
              <Table aria-label="Webhooks">
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Webhook</Table.Th>
                    <Table.Th>Told at</Table.Th>
                    <Table.Th>Of</Table.Th>
                    <Table.Th>
                      <span className="quiet">Act</span>
                    </Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Table.Tr key={one.name}>
                      <Table.Td>{one.name}</Table.Td>
                      <Table.Td className="mono">
                        {one.target} <span className="quiet">({one.form})</span>
                      </Table.Td>
                      <Table.Td>{one.kinds.join(", ")}</Table.Td>
                      <Table.Td>
                        <Group gap={4} wrap="nowrap">
                          <Button
                            size="compact-xs"
                            variant="default"
                            aria-label={`Test ${one.name}`}
                            onClick={() => test.mutate(one.name)}
                          >
                            Test
                          </Button>
                          <Button
                            size="compact-xs"
                            variant="default"
                            aria-expanded={open === one.name}
                            aria-label={`Log of ${one.name}`}
                            onClick={() => setOpen(open === one.name ? undefined : one.name)}
                          >
                            Log
                          </Button>
                          <Button
                            size="compact-xs"
                            variant="default"
                            aria-label={`Remove ${one.name}`}
                            onClick={() => setDoomed(one)}
                          >
                            Remove
                          </Button>
                        </Group>
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
      {open && <Deliveries name={open} />}
      <Confirm
        opened={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title={`Remove ${doomed?.name ?? ""}?`}
        act="Remove the webhook"
        danger
        onConfirm={async () => {
          if (!doomed) return;
          const path = { name: doomed.name };
          await take(client.DELETE("/v1/webhooks/{name}", { params: { path } }));
          setOpen(undefined);
          await queries.invalidateQueries({ queryKey: ["webhooks"] });
        }}
      >
        Its log goes with it, and messages that are pending are not sent any more.
      </Confirm>
    </Section>
  );
}

function Deliveries({ name }: { name: string }) {
  const query = useQuery(deliveries(name));
  return (
    <Stack gap="xs" component="section" aria-label={`Deliveries of ${name}`}>
      <Text fw={600}>What {name} was sent</Text>
      <Loaded query={query}>
        {({ items }) =>
          items.length === 0 ? (
            <Text className="quiet">Nothing in the last 30 days.</Text>
          ) : (
            <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
              <Table>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>When</Table.Th>
                    <Table.Th>Event</Table.Th>
                    <Table.Th>Outcome</Table.Th>
                    <Table.Th>Tries</Table.Th>
                    <Table.Th>Next try</Table.Th>
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((one) => (
                    <Sent key={one.id} delivery={one} />
                  ))}
                </Table.Tbody>
              </Table>
            </Table.ScrollContainer>
          )
        }
      </Loaded>
    </Stack>
  );
}

const LOOKS = { delivered: "succeeded", failed: "failed", pending: "queued" } as const;

function Sent({ delivery }: { delivery: Delivery }) {
  return (
    <Table.Tr>
      <Table.Td>
        <Ago at={delivery.created_at} />
      </Table.Td>
      <Table.Td>
        <Code title={JSON.stringify(delivery.payload, null, 2)}>{delivery.kind}</Code>
      </Table.Td>
      <Table.Td>
        <span className={LOOKS[delivery.state]}>{delivery.state}</span>
        {delivery.status && ` (${delivery.status})`}
        {delivery.error && (
          <Text size="xs" className="mono">
            {delivery.error}
          </Text>
        )}
      </Table.Td>
      <Table.Td>{delivery.tries}</Table.Td>
      <Table.Td>
        {delivery.state === "pending" && delivery.next_at
          ? new Date(delivery.next_at).toLocaleTimeString()
          : "–"}
      </Table.Td>
    </Table.Tr>
  );
}

function NewWebhook() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [form, setForm] = useState<(typeof FORMS)[number]>("json");
  const [target, setTarget] = useState("");
  const [kinds, setKinds] = useState<string[]>(["job.fail", "job.wait"]);
  const make = useMutation({
    mutationFn: () =>
      take(
        client.PUT("/v1/webhooks/{name}", {
          params: { path: { name } },
          body: { form, target, kinds },
        }),
      ),
    onSuccess: () => {
      setName("");
      setTarget("");
      void queries.invalidateQueries({ queryKey: ["webhooks"] });
    },
  });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        make.mutate();
      }}
    >
      <Stack gap="xs">
        <Group align="end" gap="xs">
          <TextInput
            label="Name"
            required
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <Select
            label="Form"
            data={[...FORMS]}
            value={form}
            allowDeselect={false}
            onChange={(chosen) => setForm(chosen as typeof form)}
            w={110}
          />
          <TextInput
            label={form === "email" ? "E-mail address" : "URL"}
            required
            type={form === "email" ? "email" : "url"}
            value={target}
            onChange={(event) => setTarget(event.currentTarget.value)}
            style={{ flex: "1 1 16rem" }}
          />
          <TagsInput
            label="Told of"
            data={KINDS}
            value={kinds}
            onChange={setKinds}
            style={{ flex: "1 1 14rem" }}
          />
          <Button type="submit" loading={make.isPending}>
            Make a webhook
          </Button>
        </Group>
        {make.error && <Trouble error={make.error} />}
        {make.data?.secret && (
          <Alert color="green" variant="light" title={`The secret of ${make.data.name}`}>
            <CopyValue value={make.data.secret} />
            <Text size="sm">
              Messages are signed with it. It is shown this once; a webhook of the same name keeps
              it.
            </Text>
          </Alert>
        )}
      </Stack>
    </form>
  );
}
