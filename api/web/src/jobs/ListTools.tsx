import {
  Autocomplete,
  Button,
  Group,
  Menu,
  Modal,
  Popover,
  Select,
  Stack,
  TagsInput,
  Text,
  TextInput,
} from "@mantine/core";
import { useDisclosure, useLocalStorage } from "@mantine/hooks";
import { useQuery } from "@tanstack/react-query";
import { Bookmark, ChevronDown, Columns3, Trash2 } from "lucide-react";
import { useEffect, useState } from "react";
import { jobWords } from "../api/queries";
import {
  columnsOf,
  completionsOf,
  filterOf,
  formatFilter,
  type JobListSearch,
  MOST_COLUMNS,
  parseFilter,
  STATES,
} from "./filter";
import { keepView, readViews, type SavedView, VIEWS_KEY, viewWords } from "./views";

interface Props {
  search: JobListSearch;
  onSearch: (search: JobListSearch) => void;
}

const NO_WORDS = { names: [], experiments: [], metrics: [] };

/** Which jobs are listed, and with what: a line of words, columns, views that were saved. */
export function ListTools({ search, onSearch }: Props) {
  const { columns, ...filter } = search;
  const line = formatFilter(filter);
  const [words, setWords] = useState(line);
  useEffect(() => setWords(line), [line]);
  const known = useQuery(jobWords).data ?? NO_WORDS;
  const apply = (next: JobListSearch) => onSearch({ ...next, ...(columns && { columns }) });
  return (
    <Group gap="xs" align="end">
      <form
        role="search"
        style={{ flex: "1 1 16rem" }}
        onSubmit={(event) => {
          event.preventDefault();
          apply(parseFilter(words));
        }}
      >
        <Autocomplete
          aria-label="Filter"
          placeholder="churn   state:failed experiment:nightly accuracy>0.9 is:step"
          data={completionsOf(words, known)}
          filter={({ options }) => options}
          renderOption={({ option }) => lastWord(option.value)}
          maxDropdownHeight={320}
          value={words}
          onChange={setWords}
        />
      </form>
      <Select
        aria-label="State"
        placeholder="Any state"
        clearable
        data={[...STATES]}
        value={filter.state ?? null}
        onChange={(state) => apply(filterOf({ ...filter, state }))}
        w={150}
      />
      <ColumnChoice
        columns={columnsOf(columns)}
        known={known.metrics}
        onChange={(chosen) => onSearch({ ...filter, ...(chosen && { columns: chosen }) })}
      />
      <Views search={search} onSearch={onSearch} />
    </Group>
  );
}

function lastWord(line: string): string {
  return /(?:\w+:)?(?:"[^"]*"?|\S*)$/.exec(line)?.[0] ?? line;
}

function ColumnChoice({
  columns,
  known,
  onChange,
}: {
  columns: string[];
  known: string[];
  onChange: (columns: string) => void;
}) {
  return (
    <Popover width={320} trapFocus position="bottom-end" withArrow>
      <Popover.Target>
        <Button variant="default" leftSection={<Columns3 size={14} aria-hidden />}>
          {columns.length > 0 ? `Columns (${columns.length})` : "Columns"}
        </Button>
      </Popover.Target>
      <Popover.Dropdown aria-label="Columns">
        <TagsInput
          label="Metrics with a column"
          description="A name such as accuracy, or evaluate.accuracy of that step"
          data={known}
          value={columns}
          maxTags={MOST_COLUMNS}
          comboboxProps={{ withinPortal: false }}
          onChange={(chosen) => onChange(columnsOf(chosen.join(",")).join(","))}
          data-autofocus
        />
      </Popover.Dropdown>
    </Popover>
  );
}

function Views({ search, onSearch }: Props) {
  const [views, setViews] = useLocalStorage<SavedView[]>({
    key: VIEWS_KEY,
    defaultValue: [],
    getInitialValueInEffect: false,
    deserialize: readViews,
  });
  const [isSaving, saving] = useDisclosure();
  const [name, setName] = useState("");
  return (
    <>
      <Menu position="bottom-end" width={300}>
        <Menu.Target>
          <Button
            variant="default"
            leftSection={<Bookmark size={14} aria-hidden />}
            rightSection={<ChevronDown size={14} aria-hidden />}
          >
            Views
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          {views.map((view) => (
            <Menu.Item key={view.name} onClick={() => onSearch(view.search)}>
              {view.name}
              <Text size="xs" className="quiet">
                {viewWords(view.search)}
              </Text>
            </Menu.Item>
          ))}
          {views.length > 0 && <Menu.Divider />}
          <Menu.Item onClick={saving.open}>Save this view…</Menu.Item>
          {views.length > 0 && <Menu.Divider />}
          {views.map((view) => (
            <Menu.Item
              key={view.name}
              leftSection={<Trash2 size={14} aria-hidden />}
              onClick={() => setViews(views.filter((one) => one.name !== view.name))}
            >
              Forget {view.name}
            </Menu.Item>
          ))}
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={isSaving}
        onClose={saving.close}
        title="Save this view"
        closeButtonProps={{ "aria-label": "Close" }}
      >
        <form
          onSubmit={(event) => {
            event.preventDefault();
            setViews(keepView(views, { name: name.trim(), search }));
            setName("");
            saving.close();
          }}
        >
          <Stack>
            <Text size="sm">
              {viewWords(search)}. It is kept in this browser; its address shows others the same.
            </Text>
            <TextInput
              label="Name"
              required
              value={name}
              onChange={(event) => setName(event.currentTarget.value)}
              data-autofocus
            />
            <Group justify="end">
              <Button type="submit" disabled={!name.trim()}>
                Save
              </Button>
            </Group>
          </Stack>
        </form>
      </Modal>
    </>
  );
}
