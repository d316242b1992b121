import { Dialog } from "./dialog";

const KEYS: [string, [string[], string][]][] = [
  [
    "Anywhere",
    [
      [["g", "l"], "Library"],
      [["g", "s"], "Studio"],
      [["g", "a"], "Activity"],
      [["g", "t"], "Trash"],
      [["?"], "These keys"],
    ],
  ],
  [
    "In the library",
    [
      [["←", "→", "↑", "↓"], "Move"],
      [["Enter", "Space"], "View"],
      [["x"], "Select"],
      [["Ctrl A"], "Select all"],
      [["Esc"], "Clear the selection"],
      [["Del"], "To the trash"],
      [["i"], "How it was made"],
    ],
  ],
  [
    "In the viewer",
    [
      [["←", "→"], "Previous, next"],
      [["i"], "How it was made"],
      [["d"], "Download"],
      [["Del"], "To the trash"],
      [["Esc"], "Close"],
    ],
  ],
  ["In the studio", [[["Ctrl Enter"], "Generate"]]],
];

export function KeysDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
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
    </Dialog>
  );
}
