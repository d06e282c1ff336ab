import { Button, NumberInput } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CirclePause, CirclePlay, ListPlus } from "lucide-react";
import { useState } from "react";
import { client, type Job, type SweepSummary, take } from "../api/client";
import { Confirm, tellDone } from "../parts/confirm";
import { useMayAct } from "../parts/role";

/** Of a sweep that goes on: pause it, let it go on, widen it. */
export function SweepActions({ job, sweep }: { job: Job; sweep: SweepSummary }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [asking, ask] = useDisclosure();
  const [wanted, setWanted] = useState<number | string>(sweep.limits.max_total_trials ?? "");
  const params = { path: { ref: job.id } };
  const refresh = () => queries.invalidateQueries({ queryKey: ["job"] });
  const steer = useMutation({
    mutationFn: () =>
      sweep.paused_at
        ? take(client.POST("/v1/jobs/{ref}/resume", { params }))
        : take(client.POST("/v1/jobs/{ref}/pause", { params })),
    onSuccess: refresh,
    onError: (error) => tellDone(error.message),
  });
  return (
    <>
      <Button
        variant="default"
        disabled={!mayAct}
        loading={steer.isPending}
        leftSection={
          sweep.paused_at ? (
            <CirclePlay size={14} aria-hidden />
          ) : (
            <CirclePause size={14} aria-hidden />
          )
        }
        onClick={() => steer.mutate()}
      >
        {sweep.paused_at ? "Go on" : "Pause"}
      </Button>
      <Button
        variant="default"
        disabled={!mayAct}
        leftSection={<ListPlus size={14} aria-hidden />}
        onClick={ask.open}
      >
        Change limit
      </Button>
      <Confirm
        opened={asking}
        onClose={ask.close}
        title="How many trials in all?"
        act="Change the limit"
        onConfirm={async () => {
          await take(
            client.PATCH("/v1/jobs/{ref}/limits", {
              params,
              body: { max_total_trials: wanted === "" ? null : Number(wanted) },
            }),
          );
          await refresh();
        }}
      >
        <NumberInput
          label="Trials"
          description="Those that have begun are finished; empty for no limit."
          min={1}
          value={wanted}
          onChange={setWanted}
          data-autofocus
        />
      </Confirm>
    </>
  );
}
