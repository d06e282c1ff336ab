import { Alert, Button, Group, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, take, type Token } from "../api/client";
import { projects, tokens } from "../api/queries";
import { Confirm } from "../parts/confirm";
import { CopyValue } from "../parts/copy";
import { Loaded, Section, Trouble } from "../parts/page";
import { Ago } from "../parts/time";

const ROLES = ["viewer", "submitter", "admin"] as const;
const DAY_S = 86_400;
const LIFETIMES = { "30 days": 30 * DAY_S, "1 year": 365 * DAY_S, "Without end": null };

/** Who may call, and making one more. */
export function Tokens() {
  const query = useQuery(tokens);
  const [doomed, setDoomed] = useState<Token>();
  const queries = useQueryClient();
  return (
    <Section title="Tokens">
      <NewToken />
      <Loaded query={query}>
        {({ items }) => (
          <Table.ScrollContainer type="native" tabIndex={0} minWidth={680}>
            <Table>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>Token</Table.Th>
                  <Table.Th>Role</Table.Th>
                  <Table.Th>Project</Table.Th>
                  <Table.Th>Made</Table.Th>
                  <Table.Th>Last used</Table.Th>
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
                    <Table.Td>{token.project ?? "all"}</Table.Td>
                    <Table.Td>
                      <Ago at={token.created_at} />
                    </Table.Td>
                    <Table.Td>
                      <Ago at={token.last_used_at} />
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
  const [project, setProject] = useState<string | null>(null);
  const known = useQuery(projects).data?.items ?? [];
  const make = useMutation({
    mutationFn: () =>
      take(
        client.POST("/v1/tokens", {
          body: { name, role, project, expires_in_s: LIFETIMES[lifetime] },
        }),
      ),
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
            label="Project"
            placeholder="All"
            clearable
            data={known.map((one) => one.name)}
            value={project}
            onChange={setProject}
            w={150}
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
