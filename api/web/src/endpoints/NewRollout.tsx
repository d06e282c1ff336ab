import { Button, Group, Select, SimpleGrid, Stack, Text, TextInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { client, type Endpoint, take } from "../api/client";
import { models, modelVersions } from "../api/queries";
import { tellDone } from "../parts/confirm";
import { CopyAs } from "../parts/copy";
import { Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { modelOf } from "./address";
import { BLANK_POLICY, type Policy, policyOf } from "./policy";

/** Begin to bring a version to an alias by stages. */
export function NewRollout({ endpoint }: { endpoint: Endpoint }) {
  const mayAct = useMayAct();
  const [isOpen, { open, close }] = useDisclosure();
  if (!mayAct) return <Text className="quiet">No rollout is open.</Text>;
  if (!isOpen) {
    return (
      <Group>
        <Button variant="default" onClick={open}>
          Roll a version out by stages
        </Button>
      </Group>
    );
  }
  return <Form endpoint={endpoint} onClose={close} />;
}

function Form({ endpoint, onClose }: { endpoint: Endpoint; onClose: () => void }) {
  const queries = useQueryClient();
  const known = useQuery(models).data?.items ?? [];
  const served = endpoint.deployments[0];
  const [model, setModel] = useState(modelOf(served?.model ?? ""));
  const [version, setVersion] = useState<string | null>(null);
  const [alias, setAlias] = useState(served?.alias ?? "production");
  const [form, setForm] = useState(BLANK_POLICY);
  const versions = useQuery({ ...modelVersions(model), enabled: model !== "" }).data?.items ?? [];
  const policy = read(form);
  const body = {
    model: `models:/${model}/${version ?? ""}`,
    alias,
    policy: policy instanceof Error ? {} : (policy as Record<string, unknown>),
  };
  const start = useMutation({
    mutationFn: () => {
      if (policy instanceof Error) throw policy;
      return take(
        client.POST("/v1/endpoints/{name}/rollouts", {
          params: { path: { name: endpoint.name } },
          body,
        }),
      );
    },
    onSuccess: async ({ rollout }) => {
      tellDone(
        rollout
          ? `v${version} is on its way to ${alias}.`
          : `Nothing answered as ${alias} yet: v${version} is deployed at once.`,
      );
      await queries.invalidateQueries({ queryKey: ["endpoint", endpoint.name] });
      onClose();
    },
  });
  const field = (key: keyof typeof form, label: string, description: string) => (
    <TextInput
      label={label}
      description={description}
      value={form[key]}
      onChange={(event) => {
        const { value } = event.currentTarget;
        setForm((old) => ({ ...old, [key]: value }));
      }}
    />
  );
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        start.mutate();
      }}
    >
      <Stack className="card" p="md">
        <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
          <Select
            label="Model"
            required
            searchable
            data={known.map((one) => one.name)}
            value={model || null}
            onChange={(chosen) => {
              setModel(chosen ?? "");
              setVersion(null);
            }}
          />
          <Select
            label="Version"
            required
            data={versions.map((one) => String(one.version))}
            value={version}
            onChange={setVersion}
          />
          <TextInput
            label="Alias"
            required
            value={alias}
            onChange={(event) => setAlias(event.currentTarget.value)}
          />
          <span />
          {field("mirror", "Copies first", "PERCENT:SECONDS; empty for none")}
          {field("canary", "Then answers", "PERCENT:SECONDS, …")}
          {field("errorRate", "Back if more fail than", "percent; empty: not looked at")}
          {field("p95Ratio", "Back if p95 is over", "times the present one")}
          {field("predictionPsi", "Back if predictions move", "PSI over this, such as 0.25")}
          {field("minRequests", "Judged from", "requests on")}
        </SimpleGrid>
        {policy instanceof Error && <Trouble error={policy} />}
        {start.error && <Trouble error={start.error} />}
        <Group>
          <Button
            type="submit"
            loading={start.isPending}
            disabled={!version || policy instanceof Error}
          >
            Begin the rollout
          </Button>
          <Button variant="default" onClick={onClose}>
            Not now
          </Button>
          <CopyAs
            path={`endpoints/${encodeURIComponent(endpoint.name)}/rollouts`}
            method="POST"
            body={body}
          />
        </Group>
      </Stack>
    </form>
  );
}

function read(form: typeof BLANK_POLICY): Policy | Error {
  try {
    return policyOf(form);
  } catch (error) {
    return error as Error;
  }
}
