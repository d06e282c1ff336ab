import { Button, CopyButton, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { Check, ChevronDown, Copy } from "lucide-react";
import { root } from "../api/root";

/** The same as a command, for fingers that prefer it. cli: without `mlq`; path: below `/v1`. */
export function CopyAs({ cli, path }: { cli: string; path: string }) {
  const base = `${location.origin}${root}`;
  const forms = {
    CLI: `mlq ${cli}`,
    curl: `curl -H "Authorization: Bearer $MLQ_TOKEN" ${base}/v1/${path}`,
    Python: `import os, httpx\n\nhttpx.get("${base}/v1/${path}", headers={"Authorization": f"Bearer {os.environ['MLQ_TOKEN']}"}).json()`,
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          variant="default"
          leftSection={<Copy size={14} aria-hidden />}
          rightSection={<ChevronDown size={14} aria-hidden />}
        >
          Copy as
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {Object.entries(forms).map(([name, text]) => (
          <Menu.Item
            key={name}
            onClick={() => {
              void navigator.clipboard.writeText(text);
              notifications.show({ message: `Copied as ${name}.` });
            }}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

/** A value that one may want elsewhere. */
export function CopyValue({ value, shown }: { value: string; shown?: string }) {
  return (
    <CopyButton value={value}>
      {({ copied, copy }) => (
        <Button
          variant="subtle"
          size="compact-xs"
          color="gray"
          className="mono"
          title={value}
          onClick={copy}
          rightSection={copied ? <Check size={12} aria-hidden /> : <Copy size={12} aria-hidden />}
        >
          {shown ?? value}
        </Button>
      )}
    </CopyButton>
  );
}
