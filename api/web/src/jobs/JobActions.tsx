import { Button } from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { CalendarClock, CirclePlay, CircleStop, RotateCcw, Workflow } from "lucide-react";
import { client, type Job, take } from "../api/client";
import { jobSpec } from "../api/queries";
import { isTerminal } from "../live/merge";
import { Confirm, tellDone } from "../parts/confirm";
import { useMayAct } from "../parts/role";
import { jobName } from "./JobRow";

/** Cancel while it runs; resume or run again after. */
export function JobActions({ job }: { job: Job }) {
  const mayAct = useMayAct();
  const [asking, ask] = useDisclosure();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const path = { ref: job.id };
  const resume = useMutation({
    mutationFn: () => take(client.POST("/v1/jobs/{ref}/resume", { params: { path } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ["job"] }),
    onError: (error) => tellDone(error.message),
  });
  const again = useMutation({
    mutationFn: async () => {
      const document = await queries.fetchQuery(jobSpec(job.id));
      const isJson = document.trimStart().startsWith("{");
      return take(
        client.POST("/v1/jobs", {
          body: document as never,
          bodySerializer: (body: unknown) => body as string,
          headers: { "content-type": isJson ? "application/json" : "application/yaml" },
        }),
      );
    },
    onSuccess: (made) => {
      if ("id" in made) void navigate({ to: "/jobs/$ref", params: { ref: made.id } });
    },
    onError: (error) => tellDone(error.message),
  });
  const why = mayAct ? undefined : "Your token only looks";
  if (!isTerminal(job.state)) {
    return (
      <>
        <Button
          variant="default"
          disabled={!mayAct || Boolean(job.cancel_requested_at)}
          title={why}
          leftSection={<CircleStop size={14} aria-hidden />}
          onClick={ask.open}
        >
          {job.cancel_requested_at ? "Canceling" : "Cancel"}
        </Button>
        <Confirm
          opened={asking}
          onClose={ask.close}
          title={`Cancel ${jobName(job)}?`}
          act="Cancel the job"
          danger
          onConfirm={async () => {
            await take(client.POST("/v1/jobs/{ref}/cancel", { params: { path } }));
            await queries.invalidateQueries({ queryKey: ["job"] });
          }}
        >
          It and everything below it end; what has succeeded is kept, and resume goes on from there.
        </Confirm>
      </>
    );
  }
  if (job.parent_id) return null;
  return (
    <>
      {job.state !== "succeeded" && (
        <Button
          disabled={!mayAct}
          title={why ?? "Runs what did not succeed"}
          loading={resume.isPending}
          leftSection={<CirclePlay size={14} aria-hidden />}
          onClick={() => resume.mutate()}
        >
          Resume
        </Button>
      )}
      <Button
        variant="default"
        disabled={!mayAct}
        title={why ?? "Submits the same job file once more"}
        loading={again.isPending}
        leftSection={<RotateCcw size={14} aria-hidden />}
        onClick={() => again.mutate()}
      >
        Run again
      </Button>
      <Button
        component={Link}
        to={`/designer?from=${job.id}`}
        variant="default"
        leftSection={<Workflow size={14} aria-hidden />}
      >
        Change and run
      </Button>
      <Button
        component={Link}
        to={`/schedule-editor?from=${job.id}`}
        variant="default"
        leftSection={<CalendarClock size={14} aria-hidden />}
      >
        Schedule
      </Button>
    </>
  );
}
