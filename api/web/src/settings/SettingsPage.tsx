import { Tabs, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { whoami } from "../api/queries";
import { Loaded, Page } from "../parts/page";
import { AuditLog } from "./AuditLog";
import { Health } from "./Health";
import { Limits } from "./Limits";
import { Projects } from "./Projects";
import { SETTINGS_TABS, type SettingsTab } from "./search";
import { Tokens } from "./Tokens";
import { Webhooks } from "./Webhooks";

const route = getRouteApi("/settings");

const SECTIONS: Record<SettingsTab, () => React.ReactNode> = {
  health: Health,
  tokens: Tokens,
  projects: Projects,
  limits: Limits,
  webhooks: Webhooks,
  audit: AuditLog,
};
const LABELS: Record<SettingsTab, string> = {
  health: "Health",
  tokens: "Tokens",
  projects: "Projects",
  limits: "Limits",
  webhooks: "Webhooks",
  audit: "Audit log",
};
const OPEN_TO_ALL: readonly SettingsTab[] = ["health", "projects", "limits"];

export default function SettingsPage() {
  const { tab = "health" } = route.useSearch();
  const navigate = route.useNavigate();
  const me = useQuery(whoami);
  return (
    <Page title="Settings">
      <Loaded query={me}>
        {({ name, role }) => (
          <Tabs
            value={tab}
            keepMounted={false}
            onChange={(to) => void navigate({ search: { tab: to as SettingsTab }, replace: true })}
          >
            <Tabs.List mb="md">
              {SETTINGS_TABS.map((one) => (
                <Tabs.Tab key={one} value={one}>
                  {LABELS[one]}
                </Tabs.Tab>
              ))}
            </Tabs.List>
            {SETTINGS_TABS.map((one) => {
              const Shown = SECTIONS[one];
              return (
                <Tabs.Panel key={one} value={one}>
                  {role === "admin" || OPEN_TO_ALL.includes(one) ? (
                    <Shown />
                  ) : (
                    <Text className="quiet">
                      You are {name} with the role {role}; this is for administrators.
                    </Text>
                  )}
                </Tabs.Panel>
              );
            })}
          </Tabs>
        )}
      </Loaded>
    </Page>
  );
}
