import { Button, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { Check, ChevronDown, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { root } from "../api/root";
import { type Call, callsOf } from "./calls";
import { copyText } from "./clipboard";

/** The same as a command, a program or a request, for fingers that prefer it. */
export function CopyAs(call: Call) {
  return <CopyMenu forms={callsOf(call, `${location.origin}${root}`)} />;
}

/** Texts to copy, by what each is called. */
export function CopyMenu({ forms }: { forms: Record<string, string> }) {
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
              copyText(text).then(
                () => notifications.show({ message: `Copied as ${name}.` }),
                (error: Error) => notifications.show({ color: "red", message: error.message }),
              );
            }}
          >
            {name}
          </Menu.Item>
        ))}
      </Menu.Dropdown>
    </Menu>
  );
}

const SAID_MS = 1500;

/** A value that one may want elsewhere. */
export function CopyValue({ value, shown }: { value: string; shown?: string }) {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return undefined;
    const timer = window.setTimeout(() => setCopied(false), SAID_MS);
    return () => window.clearTimeout(timer);
  }, [isCopied]);
  const Icon = isCopied ? Check : Copy;
  return (
    <Button
      variant="subtle"
      size="compact-xs"
      color="gray"
      className="mono"
      title={value}
      onClick={() => {
        copyText(value).then(
          () => setCopied(true),
          (error: Error) => notifications.show({ color: "red", message: error.message }),
        );
      }}
      rightSection={<Icon size={12} aria-hidden />}
    >
      {shown ?? value}
    </Button>
  );
}
