import { Dialog } from "./dialog";

const KEYS: [string, [string[], string][]][] = [
  [
    "Anywhere",
    [
      [["g", "l"], "Library"],
      [["g", "s"], "Studio"],
      [["g", "a"], "Activity"],
      [["g", "m"], "Models"],
      [["g", "t"], "Trash"],
      [["Ctrl Z"], "Undo"],
      [["?"], "These keys"],
    ],
  ],
  [
    "In the library",
    [
      [["/"], "Search"],
      [["←", "→", "↑", "↓"], "Move"],
      [["Home", "End"], "Newest, oldest"],
      [["PgUp", "PgDn"], "A view up, down"],
      [["Enter", "Space"], "View"],
      [["Ctrl Space"], "Select"],
      [["Ctrl A"], "Select all"],
      [["Esc"], "Clear the selection"],
      [["f"], "Favourite"],
      [["Del"], "To the trash"],
      [["i"], "Info"],
    ],
  ],
  [
    "In the trash",
    [
      [["r"], "Restore"],
      [["Del"], "Delete for good"],
    ],
  ],
  [
    "In the viewer",
    [
      [["←", "→"], "Previous, next"],
      [["i"], "Info"],
      [["z"], "Fit or 100 %"],
      [["t"], "Filmstrip"],
      [["f"], "Favourite"],
      [["d"], "Download"],
      [["Del"], "To the trash"],
      [["Esc"], "Close"],
    ],
  ],
  ["In the studio", [[["Ctrl Enter"], "Generate"]]],
];

export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" wide onClose={onClose}>
      <div class="keys">
        {KEYS.map(([place, keys]) => (
          <section key={place}>
            <h3>{place}</h3>
            <dl>
              {keys.map(([names, meaning]) => (
                <div key={meaning}>
                  <dt>{meaning}</dt>
                  <dd>
                    {names.map((name) => (
                      <kbd key={name}>{name}</kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
      <form method="dialog" class="dialog-actions">
        <button type="submit" class="button">
          Close
        </button>
      </form>
    </Dialog>
  );
}
