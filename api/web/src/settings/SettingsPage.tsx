import { Alert, Button, Code, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { CircleCheck, CircleX } from "lucide-react";
import { useState } from "react";
import { client, take, type Token } from "../api/client";
import { auditLog, doctor, tokens, whoami } from "../api/queries";
import { Confirm } from "../parts/confirm";
import { CopyValue } from "../parts/copy";
import { short } from "../parts/format";
import { Loaded, Page, Section, Trouble } from "../parts/page";
import { Ago } from "../parts/time";

export default function SettingsPage() {
  const me = useQuery(whoami);
  return (
    <Page title="Settings">
      <Health />
      <Loaded query={me}>
        {({ name, role }) =>
          role === "admin" ? (
            <>
              <Tokens />
              <AuditLog />
            </>
          ) : (
            <Text className="quiet">
              You are {name} with the role {role}; tokens and the audit log are for administrators.
            </Text>
          )
        }
      </Loaded>
    </Page>
  );
}

function Health() {
  const query = useQuery(doctor);
  return (
    <Section title="Health">
      <Loaded query={query}>
        {({ checks }) => (
          <Table aria-label="What the server finds when it examines itself">
            <Table.Tbody>
              {checks.map((check) => {
                const Icon = check.ok ? CircleCheck : CircleX;
                return (
                  <Table.Tr key={check.name}>
                    <Table.Td w={170}>
                      <span className={`state ${check.ok ? "succeeded" : "failed"}`}>
                        <Icon size={16} role="img" aria-label={check.ok ? "well" : "not well"} />
                        {check.name}
                      </span>
                    </Table.Td>
                    <Table.Td>
                      {check.detail}
                      {check.fix && <Text size="sm">{check.fix}</Text>}
                    </Table.Td>
                  </Table.Tr>
                );
              })}
            </Table.Tbody>
          </Table>
        )}
      </Loaded>
    </Section>
  );
}

const ROLES = ["viewer", "submitter", "admin"] as const;
const DAY_S = 86_400;
const LIFETIMES = { "30 days": 30 * DAY_S, "1 year": 365 * DAY_S, "Without end": null };

function Tokens() {
  const query = useQuery(tokens);
  const [doomed, setDoomed] = useState<Token>();
  const queries = useQueryClient();
  return (
    <Section title="Tokens">
      <NewToken />
      <Loaded query={query}>
        {({ items }) => (
          <Table.ScrollContainer type="native" tabIndex={0} minWidth={520}>
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Token</Table.Th>
                  <Table.Th>Role</Table.Th>
                  <Table.Th>Made</Table.Th>
                  <Table.Th>Ends</Table.Th>
                  <Table.Th>
                    <span className="quiet">Act</span>
                  </Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {items.map((token) => (
                  <Table.Tr key={token.id}>
                    <Table.Td>{token.name}</Table.Td>
                    <Table.Td>{token.role}</Table.Td>
                    <Table.Td>
                      <Ago at={token.created_at} />
                    </Table.Td>
                    <Table.Td>
                      {token.expires_at ? new Date(token.expires_at).toLocaleDateString() : "never"}
                    </Table.Td>
                    <Table.Td>
                      {token.revoked_at ? (
                        <span className="quiet">revoked</span>
                      ) : (
                        <Button
                          size="compact-xs"
                          variant="default"
                          onClick={() => setDoomed(token)}
                          aria-label={`Revoke ${token.name}`}
                        >
                          Revoke
                        </Button>
                      )}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Loaded>
      <Confirm
        opened={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title={`Revoke ${doomed?.name ?? ""}?`}
        act="Revoke the token"
        danger
        onConfirm={async () => {
          if (!doomed) return;
          const path = { token_id: doomed.id };
          await take(client.DELETE("/v1/tokens/{token_id}", { params: { path } }));
          await queries.invalidateQueries({ queryKey: ["tokens"] });
        }}
      >
        Whoever uses it is locked out within two seconds, and so are the sessions made with it. This
        cannot be undone.
      </Confirm>
    </Section>
  );
}

function NewToken() {
  const queries = useQueryClient();
  const [name, setName] = useState("");
  const [role, setRole] = useState<(typeof ROLES)[number]>("submitter");
  const [lifetime, setLifetime] = useState<keyof typeof LIFETIMES>("1 year");
  const make = useMutation({
    mutationFn: () =>
      take(client.POST("/v1/tokens", { body: { name, role, expires_in_s: LIFETIMES[lifetime] } })),
    onSuccess: () => {
      setName("");
      void queries.invalidateQueries({ queryKey: ["tokens"] });
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
            label="Role"
            data={[...ROLES]}
            value={role}
            allowDeselect={false}
            onChange={(chosen) => setRole(chosen as typeof role)}
            w={130}
          />
          <Select
            label="Valid for"
            data={Object.keys(LIFETIMES)}
            value={lifetime}
            allowDeselect={false}
            onChange={(chosen) => setLifetime(chosen as typeof lifetime)}
            w={130}
          />
          <Button type="submit" loading={make.isPending}>
            Make a token
          </Button>
        </Group>
        {make.error && <Trouble error={make.error} />}
        {make.data && (
          <Alert color="green" variant="light" title={`The token ${make.data.name}`}>
            <CopyValue value={make.data.token} />
            <Text size="sm">It is shown this once.</Text>
          </Alert>
        )}
      </Stack>
    </form>
  );
}

function AuditLog() {
  const query = useQuery(auditLog);
  return (
    <Section title="Audit log">
      <Loaded query={query}>
        {({ items }) => (
          <Table.ScrollContainer type="native" tabIndex={0} minWidth={560}>
            <Table>
              <Table.Tbody>
                {items.map((event) => (
                  <Table.Tr key={event.id}>
                    <Table.Td style={{ whiteSpace: "nowrap" }}>
                      <Ago at={event.at} />
                    </Table.Td>
                    <Table.Td>{event.actor}</Table.Td>
                    <Table.Td>{event.kind}</Table.Td>
                    <Table.Td>{event.subject}</Table.Td>
                    <Table.Td>
                      {event.detail && Object.keys(event.detail).length > 0 && (
                        <Code>{short(event.detail)}</Code>
                      )}
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Loaded>
    </Section>
  );
}
