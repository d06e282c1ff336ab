import { Autocomplete, Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { CloudUpload } from "lucide-react";
import { useState } from "react";
import { parse } from "yaml";
import { client, ServerError, take } from "../api/client";
import { batchEndpoints } from "../api/queries";
import { tellDone } from "../parts/confirm";
import { Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";

interface Props {
  text: string;
  isReady: boolean;
  endpoint?: string;
  deployment?: string;
}

/** The file becomes the next version of what a batch endpoint does. */
export function Publish({ text, isReady, endpoint = "", deployment = "" }: Props) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const [opened, { open, close }] = useDisclosure();
  const known = useQuery({ ...batchEndpoints, enabled: opened }).data?.items ?? [];
  const [name, setName] = useState(endpoint);
  const [under, setUnder] = useState(deployment || "default");
  const publish = useMutation({
    mutationFn: () => send(name.trim(), under.trim(), text),
    onSuccess: async ({ version }) => {
      close();
      tellDone(`${name}/${under} is version ${version} now.`);
      await queries.invalidateQueries({ queryKey: ["batch-endpoints"] });
      await queries.invalidateQueries({ queryKey: ["batch-endpoint"] });
      void navigate({ to: "/batch-endpoints/$name", params: { name: name.trim() } });
    },
  });
  return (
    <>
      <Button
        variant="default"
        disabled={!mayAct || !isReady}
        title={mayAct ? "Under a name that others invoke" : "Your token only looks"}
        leftSection={<CloudUpload size={14} aria-hidden />}
        onClick={open}
      >
        Publish
      </Button>
      <Modal
        opened={opened}
        onClose={close}
        title="Publish as a batch endpoint"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            publish.mutate();
          }}
        >
          <Stack>
            <Text size="sm">
              Others invoke it under this name with inputs of their own. What has changed becomes
              the next version; earlier ones stay.
            </Text>
            <Autocomplete
              label="Endpoint"
              description="A new one, or one that is there"
              required
              data={known.map((one) => one.name)}
              value={name}
              onChange={setName}
              data-autofocus
            />
            <TextInput
              label="Deployment"
              required
              value={under}
              onChange={(event) => setUnder(event.currentTarget.value)}
            />
            {publish.error && <Trouble error={publish.error} />}
            <Group justify="end">
              <Button type="submit" loading={publish.isPending}>
                Publish
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}

async function send(endpoint: string, deployment: string, text: string) {
  const path = { name: endpoint };
  const found = await take(client.GET("/v1/batch-endpoints/{name}", { params: { path } })).catch(
    (error: unknown) => {
      if (error instanceof ServerError && error.status === 404) return undefined;
      throw error;
    },
  );
  if (!found) {
    await take(
      client.PUT("/v1/batch-endpoints/{name}", {
        params: { path },
        body: JSON.stringify({ name: endpoint }) as never,
        bodySerializer: (body: unknown) => body as string,
        headers: { "content-type": "application/json" },
      }),
    );
  }
  const body = { name: deployment, type: "pipeline", component: parse(text) as unknown };
  return take(
    client.PUT("/v1/batch-endpoints/{name}/deployments/{deployment}", {
      params: { path: { ...path, deployment } },
      body: JSON.stringify(body) as never,
      bodySerializer: (sent: unknown) => sent as string,
      headers: { "content-type": "application/json" },
    }),
  );
}
