import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";

const ROW_HEIGHT = 36;

export interface VirtualColumn<T> {
  name: string;
  cell: (row: T) => ReactNode;
  /** What the pointer is told over a cell. */
  title?: (row: T) => string | undefined;
  isMono?: boolean;
}

interface Props<T> {
  label: string;
  rows: readonly T[];
  columns: readonly VirtualColumn<T>[];
  /** Widths of the columns, as `grid-template-columns` has them; least: of all together, in rem. */
  widths: string;
  leastRem: number;
  maxHeight: number | string;
  keyOf: (row: T) => string;
  /** The row that is pointed out. */
  isMarked?: (row: T) => boolean;
  isStrong?: (row: T) => boolean;
  onHover?: (row: T | undefined) => void;
}

/** A table of any length, of which only the rows in sight are drawn. */
export function VirtualTable<T>(props: Props<T>) {
  const { rows, columns, keyOf, isMarked, isStrong, onHover } = props;
  const frame = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => frame.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });
  const shape = { gridTemplateColumns: props.widths, minWidth: `${props.leastRem}rem` };
  return (
    <div
      ref={frame}
      className="rows"
      role="table"
      aria-label={props.label}
      aria-rowcount={rows.length + 1}
      tabIndex={0}
      style={{ maxHeight: props.maxHeight }}
    >
      <div className="row head" role="row" aria-rowindex={1} style={shape}>
        {columns.map(({ name }) => (
          <span key={name} role="columnheader">
            {name}
          </span>
        ))}
      </div>
      <div
        role="rowgroup"
        style={{ height: virtual.getTotalSize(), position: "relative", minWidth: shape.minWidth }}
      >
        {virtual.getVirtualItems().map(({ index, start }) => {
          const row = rows[index];
          if (row === undefined) return null;
          return (
            <div
              key={keyOf(row)}
              className="row"
              role="row"
              aria-rowindex={index + 2}
              onPointerEnter={onHover && (() => onHover(row))}
              onPointerLeave={onHover && (() => onHover(undefined))}
              style={{
                ...shape,
                position: "absolute",
                left: 0,
                right: 0,
                height: ROW_HEIGHT,
                transform: `translateY(${start}px)`,
                background: isMarked?.(row) ? "var(--soft)" : undefined,
                fontWeight: isStrong?.(row) ? 600 : undefined,
              }}
            >
              {columns.map(({ name, cell, title, isMono }) => (
                <span
                  key={name}
                  role="cell"
                  title={title?.(row)}
                  className={isMono ? "mono" : undefined}
                >
                  {cell(row)}
                </span>
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}
