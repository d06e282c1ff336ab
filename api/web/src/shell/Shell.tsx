import {
  ActionIcon,
  Anchor,
  AppShell,
  Burger,
  Group,
  NavLink,
  Stack,
  Text,
  Title,
  useMantineColorScheme,
} from "@mantine/core";
import { useDisclosure } from "@mantine/hooks";
import { spotlight } from "@mantine/spotlight";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation } from "@tanstack/react-router";
import {
  Boxes,
  CalendarClock,
  Cpu,
  Database,
  Gauge,
  Hand,
  ListTree,
  LogOut,
  Monitor,
  Moon,
  Rocket,
  Search,
  Settings,
  Sun,
  Workflow,
} from "lucide-react";
import { useEffect } from "react";
import { address } from "../api/root";
import { whoami } from "../api/queries";
import { useLiveUpdates } from "../live/live";
import { LiveMark } from "./LiveMark";
import { Palette } from "./Palette";

const PAGES = [
  { to: "/", label: "Overview", icon: Gauge },
  { to: "/jobs", label: "Jobs", icon: ListTree },
  { to: "/designer", label: "Designer", icon: Workflow },
  { to: "/models", label: "Models", icon: Boxes },
  { to: "/data", label: "Data", icon: Database },
  { to: "/endpoints", label: "Endpoints", icon: Rocket },
  { to: "/approvals", label: "Approvals", icon: Hand },
  { to: "/schedules", label: "Schedules", icon: CalendarClock },
  { to: "/workers", label: "Workers", icon: Cpu },
  { to: "/settings", label: "Settings", icon: Settings },
] as const;

/** What every page has around it. */
export function Shell() {
  const [opened, { toggle, close }] = useDisclosure();
  const path = useLocation({ select: (location) => location.pathname });
  useLiveUpdates(useQueryClient());
  useEffect(close, [path, close]);
  return (
    <AppShell
      header={{ height: 48 }}
      navbar={{ width: 210, breakpoint: "sm", collapsed: { mobile: !opened } }}
      padding="md"
    >
      <AppShell.Header>
        <Group h="100%" px="md" justify="space-between" wrap="nowrap">
          <Group gap="xs" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Menu" />
            <Link to="/" className="plain">
              <Text fw={700}>mlq</Text>
            </Link>
          </Group>
          <Group gap="xs" wrap="nowrap">
            <LiveMark />
            <ActionIcon
              variant="default"
              size="lg"
              onClick={spotlight.open}
              aria-label="Search and commands (Ctrl K)"
              title="Search and commands (Ctrl K)"
            >
              <Search size={16} aria-hidden />
            </ActionIcon>
            <SchemeButton />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Pages">
        <Stack gap={2} style={{ flex: 1 }}>
          {PAGES.map(({ to, label, icon: Icon }) => {
            const isHere = to === "/" ? path === "/" : isBelow(path, to);
            return (
              <NavLink
                key={to}
                component={Link}
                to={to}
                label={label}
                leftSection={<Icon size={16} aria-hidden />}
                active={isHere}
                aria-current={isHere ? "page" : undefined}
              />
            );
          })}
        </Stack>
        <Footer />
      </AppShell.Navbar>
      <AppShell.Main>
        <Outlet />
      </AppShell.Main>
      <Palette pages={PAGES} />
    </AppShell>
  );
}

/** Pages that lie below another in the menu without their address saying so. */
const PLACES: Record<string, string> = {
  "/batch-endpoints": "/endpoints",
  "/schedule-editor": "/schedules",
  "/compare": "/jobs",
};

function isBelow(path: string, to: string): boolean {
  const [, first] = path.split("/");
  return (PLACES[`/${first}`] ?? `/${first}`) === to;
}

function Footer() {
  const me = useQuery(whoami).data;
  return (
    <Stack gap={4} p="xs">
      <Group gap="md">
        <Anchor size="xs" href={address("/flower/")}>
          Flower
        </Anchor>
        <Anchor size="xs" href={address("/docs")}>
          API
        </Anchor>
      </Group>
      <Group justify="space-between" wrap="nowrap">
        <Text size="xs" className="quiet" truncate>
          {me ? `${me.name} (${me.role})` : ""}
        </Text>
        <form method="post" action={address("/logout")}>
          <ActionIcon
            type="submit"
            variant="subtle"
            color="gray"
            aria-label="Log out"
            title="Log out"
          >
            <LogOut size={14} aria-hidden />
          </ActionIcon>
        </form>
      </Group>
    </Stack>
  );
}

const SCHEMES = {
  auto: { icon: Monitor, next: "light", words: "as the system" },
  light: { icon: Sun, next: "dark", words: "light" },
  dark: { icon: Moon, next: "auto", words: "dark" },
} as const;

function SchemeButton() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const { icon: Icon, next, words } = SCHEMES[colorScheme];
  return (
    <ActionIcon
      variant="default"
      size="lg"
      onClick={() => setColorScheme(next)}
      aria-label={`Colours: ${words}. Change`}
      title={`Colours: ${words}`}
    >
      <Icon size={16} aria-hidden />
    </ActionIcon>
  );
}

export function NotFound() {
  return (
    <Stack align="start">
      <Title order={1}>There is no such page</Title>
      <Anchor component={Link} to="/">
        To the overview
      </Anchor>
    </Stack>
  );
}
