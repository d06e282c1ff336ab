import { Switch } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { client, type Schedule, take } from "../api/client";
import { tellDone } from "../parts/confirm";
import { useMayAct } from "../parts/role";

/** Whether a schedule fires, as a switch. */
export function Switched({ schedule }: { schedule: Schedule }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const { name } = schedule;
  const turn = useMutation({
    mutationFn: (isOn: boolean) => {
      const asked = { params: { path: { name } } };
      return take(
        isOn
          ? client.POST("/v1/schedules/{name}/enable", asked)
          : client.POST("/v1/schedules/{name}/disable", asked),
      );
    },
    onSuccess: async (changed) => {
      tellDone(changed.is_enabled ? `${name} fires from now on.` : `${name} is paused.`);
      await queries.invalidateQueries({ queryKey: ["schedules"] });
      await queries.invalidateQueries({ queryKey: ["schedule", name] });
    },
    onError: (error) => tellDone(error.message),
  });
  return (
    <Switch
      aria-label={`${name} fires`}
      checked={schedule.is_enabled}
      disabled={!mayAct || turn.isPending}
      onChange={(event) => turn.mutate(event.currentTarget.checked)}
    />
  );
}
