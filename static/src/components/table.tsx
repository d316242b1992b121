import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "./icon";
import { ChevronDown } from "./icons";

export interface Column<Row> {
  name: string;
  cell: (row: Row) => ComponentChildren;
  /** Sorted by this; without it the column cannot be sorted. */
  by?: (row: Row) => string | number;
  class?: string;
}

interface TableProps<Row> {
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowKey: (row: Row) => string;
}

/** A dense table; a press on a head sorts by it, then the other way, then as given. */
export function Table<Row>({ label, columns, rows, rowKey }: TableProps<Row>) {
  const [sort, setSort] = useState<{ column: number; down: boolean } | null>(null);
  const sorted = sort ? sortRows(rows, columns[sort.column]!.by!, sort.down) : rows;
  const press = (column: number) =>
    setSort((was) => (was?.column !== column ? { column, down: false } : was.down ? null : { column, down: true }));
  return (
    <div class="table-box">
      <table aria-label={label}>
        <thead>
          <tr>
            {columns.map((column, index) => {
              const own = sort?.column === index ? sort : null;
              return (
                <th key={column.name} class={column.class} aria-sort={own ? (own.down ? "descending" : "ascending") : undefined}>
                  {column.by ? (
                    <button type="button" class={own ? (own.down ? "down" : "up") : ""} onClick={() => press(index)}>
                      {column.name}
                      <Icon of={ChevronDown} />
                    </button>
                  ) : (
                    <span class={column.class === "action" ? "hidden-text" : ""}>{column.name}</span>
                  )}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>
          {sorted.map((row) => (
            <tr key={rowKey(row)}>
              {columns.map((column) => (
                <td key={column.name} class={column.class} data-name={column.name}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function sortRows<Row>(rows: readonly Row[], by: (row: Row) => string | number, down: boolean): Row[] {
  const sign = down ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [one, other] = [by(a), by(b)];
    return one < other ? -sign : one > other ? sign : 0;
  });
}
