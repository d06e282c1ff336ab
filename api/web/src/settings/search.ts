export const SETTINGS_TABS = [
  "health",
  "tokens",
  "projects",
  "limits",
  "webhooks",
  "audit",
] as const;
export type SettingsTab = (typeof SETTINGS_TABS)[number];

/** Which settings are shown, as the address says. */
export function settingsSearchOf(search: Record<string, unknown>): { tab?: SettingsTab } {
  return { tab: SETTINGS_TABS.find((tab) => tab === search.tab) };
}
