import { Button, Group, Modal, Stack, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import { Trouble } from "./page";

interface Props {
  opened: boolean;
  onClose: () => void;
  title: string;
  act: string;
  danger?: boolean;
  withReason?: boolean;
  onConfirm: (reason: string) => Promise<unknown>;
  children?: ReactNode;
}

/** A question before an act. Enter confirms, Escape does not. */
export function Confirm({
  opened,
  onClose,
  title,
  act,
  danger,
  withReason,
  onConfirm,
  children,
}: Props) {
  const [reason, setReason] = useState("");
  const mutation = useMutation({
    mutationFn: () => onConfirm(reason),
    onSuccess: () => {
      setReason("");
      onClose();
    },
  });
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={title}
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <form
        onSubmit={(event) => {
          event.preventDefault();
          mutation.mutate();
        }}
      >
        <Stack>
          {children}
          {withReason && (
            <TextInput
              label="Reason"
              description="Kept in the history; may stay empty."
              value={reason}
              onChange={(event) => setReason(event.currentTarget.value)}
              data-autofocus
            />
          )}
          {mutation.error && <Trouble error={mutation.error} />}
          <Group justify="end">
            <Button variant="default" onClick={onClose}>
              Not now
            </Button>
            <Button
              type="submit"
              color={danger ? "red.8" : undefined}
              loading={mutation.isPending}
              data-autofocus={withReason ? undefined : true}
            >
              {act}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}

const UNDO_MS = 30_000;

/** Say what was done, with the way back. */
export function tellDone(message: string, undo?: () => Promise<unknown>) {
  const id = notifications.show({
    message: undo ? (
      <Group justify="space-between" wrap="nowrap">
        {message}
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => {
            notifications.hide(id);
            undo().then(
              () => notifications.show({ message: "Undone." }),
              (error: Error) => notifications.show({ color: "red", message: error.message }),
            );
          }}
        >
          Undo
        </Button>
      </Group>
    ) : (
      message
    ),
    autoClose: undo ? UNDO_MS : 5000,
  });
}
