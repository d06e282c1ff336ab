import {
  Button,
  Group,
  NumberInput,
  Select,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useMutation, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { client, type Endpoint, take } from "../api/client";
import { address } from "../api/root";
import { CopyValue } from "../parts/copy";
import { Section, Trouble } from "../parts/page";
import { modelOf } from "./address";
import { rowOf, type Tensor } from "./row";

/** One row by hand: the form follows the model's signature. */
export function TryIt({ endpoint }: { endpoint: Endpoint }) {
  const [name, setName] = useState<string | null>(null);
  const [values, setValues] = useState<Record<string, string>>({});
  const busiest = endpoint.deployments.toSorted(
    (one, other) => (endpoint.traffic[other.name] ?? 0) - (endpoint.traffic[one.name] ?? 0),
  )[0];
  const shown = endpoint.deployments.find((one) => one.name === name) ?? busiest;
  const model = modelOf(shown?.model ?? "");
  const signature = useQuery({
    queryKey: ["signature", model, shown?.version],
    queryFn: () =>
      take(
        client.GET("/v2/{path}", {
          params: { path: { path: `models/${model}/versions/${shown?.version}` } },
          // Its slashes are meant; what is answered here is the whole address, prefix and all.
          querySerializer: () => "",
          pathSerializer: () =>
            address(`/v2/models/${encodeURIComponent(model)}/versions/${shown?.version}`),
        }),
      ) as Promise<{ inputs?: Tensor[] }>,
    enabled: Boolean(shown?.version),
  });
  const inputs = signature.data?.inputs ?? [];
  const body = { rows: [rowOf(inputs, values)], params: { probabilities: true } };
  const ask = useMutation({
    mutationFn: () =>
      take(
        client.POST("/endpoints/{name}/score", {
          params: { path: { name: endpoint.name } },
          body: body as never,
          headers: name ? { "mlq-deployment": name } : {},
        }),
      ),
  });
  const curl = `curl -H "Authorization: Bearer $MLQ_TOKEN" -H "Content-Type: application/json" -d '${JSON.stringify(body).replaceAll("'", "'\\''")}' ${endpoint.scoring_uri}`;
  return (
    <Section title="Try it">
      {signature.error && <Trouble error={signature.error} />}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          ask.mutate();
        }}
      >
        <Stack>
          <SimpleGrid cols={{ base: 1, xs: 2, md: 4 }}>
            <Select
              label="Deployment"
              placeholder="As the traffic goes"
              clearable
              data={endpoint.deployments.map((one) => one.name)}
              value={name}
              onChange={setName}
            />
            {inputs.map((input) => (
              <Field
                key={input.name}
                input={input}
                value={values[input.name] ?? ""}
                onChange={(value) => setValues((old) => ({ ...old, [input.name]: value }))}
              />
            ))}
          </SimpleGrid>
          <Group>
            <Button type="submit" loading={ask.isPending}>
              Predict
            </Button>
            <CopyValue value={curl} shown="Copy as curl" />
          </Group>
        </Stack>
      </form>
      {ask.error && <Trouble error={ask.error} />}
      {ask.data && (
        <Stack className="card" p="sm" gap={4} role="status">
          <Text fw={600}>{ask.data.predictions.map(String).join(", ")}</Text>
          {ask.data.probabilities?.[0] && (
            <Text size="sm">
              {Object.entries(ask.data.probabilities[0])
                .map(([label, share]) => `${label} ${(share * 100).toFixed(1)} %`)
                .join(" · ")}
            </Text>
          )}
          <Text size="sm" className="quiet">
            {ask.data.model} behind {ask.data.deployment}
          </Text>
        </Stack>
      )}
    </Section>
  );
}

function Field({
  input,
  value,
  onChange,
}: {
  input: Tensor;
  value: string;
  onChange: (value: string) => void;
}) {
  if (input.datatype === "BYTES") {
    return (
      <TextInput
        label={input.name}
        value={value}
        onChange={(event) => onChange(event.currentTarget.value)}
      />
    );
  }
  if (input.datatype === "BOOL") {
    return (
      <Select
        label={input.name}
        clearable
        data={["true", "false"]}
        value={value || null}
        onChange={(chosen) => onChange(chosen ?? "")}
      />
    );
  }
  return (
    <NumberInput
      label={input.name}
      value={value}
      allowDecimal={input.datatype.startsWith("FP")}
      onChange={(chosen) => onChange(String(chosen))}
    />
  );
}
