import { Button, FileInput, Group, Stack, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Upload } from "lucide-react";
import { type DragEvent, useState } from "react";
import { tellDone } from "../parts/confirm";
import { Trouble } from "../parts/page";
import { useMayAct } from "../parts/role";
import { addVersion } from "./upload";

/** A file, chosen or dropped, becomes a version. name: of the dataset; asked for where absent. */
export function NewVersion({ name: given }: { name?: string }) {
  const mayAct = useMayAct();
  const queries = useQueryClient();
  const [name, setName] = useState(given ?? "");
  const [file, setFile] = useState<File | null>(null);
  const [description, setDescription] = useState("");
  const send = useMutation({
    mutationFn: async () => {
      if (!file) throw new Error("Choose a file.");
      return addVersion(name, { bytes: file, fileName: file.name, description });
    },
    onSuccess: async (made) => {
      setFile(null);
      setDescription("");
      tellDone(`${made.id} is there.`);
      await queries.invalidateQueries({ queryKey: ["data"] });
    },
  });
  if (!mayAct) return null;
  const take = (chosen: File | null) => {
    setFile(chosen);
    if (chosen && !given && name === "") setName(nameOf(chosen.name));
  };
  return (
    <form
      aria-label="Add a version"
      onSubmit={(event) => {
        event.preventDefault();
        send.mutate();
      }}
      onDragOver={(event: DragEvent) => event.preventDefault()}
      onDrop={(event: DragEvent) => {
        event.preventDefault();
        take(event.dataTransfer.files[0] ?? null);
      }}
    >
      <Stack gap="xs">
        <Group align="end" gap="xs">
          <FileInput
            label="File"
            placeholder="Choose or drop one"
            required
            value={file}
            onChange={take}
            style={{ flex: "1 1 12rem" }}
          />
          {!given && (
            <TextInput
              label="Name"
              required
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
            />
          )}
          <TextInput
            label="Description"
            value={description}
            onChange={(event) => setDescription(event.currentTarget.value)}
            style={{ flex: "1 1 12rem" }}
          />
          <Button
            type="submit"
            loading={send.isPending}
            disabled={!file}
            leftSection={<Upload size={14} aria-hidden />}
          >
            Add
          </Button>
        </Group>
        {send.error && <Trouble error={send.error} />}
      </Stack>
    </form>
  );
}

/** A dataset's name out of a file's: `Churn 2026.csv` is `churn-2026`. */
function nameOf(file: string): string {
  return file
    .replace(/\.[^.]*$/, "")
    .toLowerCase()
    .replace(/[^a-z0-9_-]+/g, "-")
    .replace(/^-+|-+$/g, "");
}
