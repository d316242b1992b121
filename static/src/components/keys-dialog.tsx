import { Dialog } from "./dialog";

const MARKS: [string[], string][] = [
  [["f"], "Favourite"],
  [["1", "…", "5"], "Rate"],
  [["0"], "No rating"],
  [["p"], "Pick"],
  [["x"], "Reject"],
  [["u"], "No flag"],
];

const KEYS: [string, [string[], string][]][] = [
  [
    "Anywhere",
    [
      [["g", "l"], "Library"],
      [["g", "b"], "Albums"],
      [["g", "s"], "Studio"],
      [["g", "a"], "Activity"],
      [["g", "m"], "Models"],
      [["g", "t"], "Trash"],
      [["Shift U"], "Upload"],
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
      ...MARKS,
      [["+"], "Add to an album"],
      [["e"], "Use as source"],
      [["Del"], "To the trash"],
      [["i"], "Info"],
    ],
  ],
  [
    "In an album",
    [
      [["Alt ←", "Alt →"], "Move earlier, later"],
      [["Alt ↑", "Alt ↓"], "Move a row up, down"],
      [["Alt Home", "Alt End"], "Move to the front, to the end"],
      [["-"], "Remove from the album"],
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
      ...MARKS,
      [["+"], "Add to an album"],
      [["e"], "Use as source"],
      [["s"], "Select, unselect (in a step)"],
      [["d"], "Download"],
      [["y"], "Family"],
      [["Del"], "To the trash"],
      [["Esc"], "Close"],
    ],
  ],
  [
    "In a family",
    [
      [["←", "→", "↑", "↓"], "To sources, to what was made, to the next"],
      [["Enter"], "View"],
      [["c"], "Put in the centre"],
      [["Home"], "To the photo in the centre"],
      [["+", "-"], "Zoom in, out"],
      [["0"], "Show all"],
      [["Esc"], "Back"],
    ],
  ],
  [
    "In a caption",
    [
      [["Ctrl Enter"], "Save"],
      [["Esc"], "Save, and leave it"],
    ],
  ],
  [
    "In the studio",
    [
      [["Ctrl Enter"], "Generate"],
      [["Enter", "s"], "Select, unselect"],
      [["e"], "Use as source"],
      [["Space"], "View"],
    ],
  ],
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
