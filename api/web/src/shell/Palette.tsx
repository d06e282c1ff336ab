import { Spotlight, type SpotlightActionData } from "@mantine/spotlight";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { client, take } from "../api/client";
import { datasets, endpoints, models } from "../api/queries";

const LIMIT = 12;

interface Props {
  pages: readonly { to: string; label: string }[];
}

/** Ctrl K: to any page, model, dataset, endpoint or recent job by its name. */
export function Palette({ pages }: Props) {
  const [opened, setOpened] = useState(false);
  const navigate = useNavigate();
  const recent = useQuery({
    queryKey: ["palette-jobs"],
    queryFn: () => take(client.GET("/v1/jobs", { params: { query: { limit: 50 } } })),
    enabled: opened,
  }).data;
  const named = {
    Models: useQuery({ ...models, enabled: opened }).data?.items,
    Endpoints: useQuery({ ...endpoints, enabled: opened }).data?.items,
    Data: useQuery({ ...datasets, enabled: opened }).data?.items,
  };
  const go = (to: string) => () => void navigate({ to });
  const actions: SpotlightActionData[] = [
    ...pages.map((page) => ({ id: page.to, label: page.label, onClick: go(page.to) })),
    ...Object.entries(named).flatMap(([group, items]) =>
      (items ?? []).map((item) => ({
        id: `${group}/${item.name}`,
        label: item.name,
        description: group,
        onClick: go(`/${group.toLowerCase()}/${encodeURIComponent(item.name)}`),
      })),
    ),
    ...(recent?.items ?? []).map((job) => ({
      id: job.id,
      label: job.display_name || job.name || job.id,
      description: `${job.type} job, ${job.state}, ${job.id}`,
      onClick: go(`/jobs/${job.id}`),
    })),
  ];
  return (
    <Spotlight
      actions={actions}
      limit={LIMIT}
      nothingFound="Nothing of that name"
      searchProps={{ placeholder: "Page, model, dataset, endpoint or job" }}
      onSpotlightOpen={() => setOpened(true)}
      scrollable
    />
  );
}
