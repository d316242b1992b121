import { useEffect, useState } from "preact/hooks";
import { Blank } from "../components/blank";
import { Icon } from "../components/icon";
import { Plus, Server } from "../components/icons";
import { TopBar } from "../components/top-bar";
import { usePhotoAddress, useTitle } from "../lib/navigation";
import { backends, backendsKnown, countMoney } from "../state/backends";
import { followRetrievals, troubled, troubledError } from "../state/retrievals";
import { loadSettings } from "../state/settings";
import { Viewer } from "../viewer/viewer";
import { QueueTable } from "./queue-table";
import { RetrievalTable } from "./retrieval-table";
import { ServerCard } from "./server-card";
import { ServerDialog } from "./server-dialog";

/** What a pod costs and saves grows with the time, and nothing is told of that. */
const COUNTED_MS = 30_000;

function useCountedMoney(): void {
  const counts = backends.value.some(({ pod }) => pod !== null && pod.cost_per_hour !== null);
  useEffect(() => {
    if (!counts) return;
    const timer = setInterval(() => void countMoney(), COUNTED_MS);
    return () => clearInterval(timer);
  }, [counts]);
}

const nothingMore = async () => undefined;

/** What every server is doing, what is on its way home, and what needs a look. */
export function ActivityPage() {
  const [adding, add] = useState(false);
  const address = usePhotoAddress();
  useTitle("Activity");
  useEffect(followRetrievals, []);
  useEffect(() => void loadSettings(), []);
  useCountedMoney();
  const none = backendsKnown.value && backends.value.length === 0;
  const retrievalsKnown = troubled.value !== null || troubledError.value !== null;
  return (
    <>
      <TopBar>
        <h1>Activity</h1>
        <div class="rest" />
        {!none && (
          <button type="button" class="button" onClick={() => add(true)}>
            <Icon of={Plus} />
            Add a server
          </button>
        )}
      </TopBar>
      {none ? (
        <Blank icon={Server} title="No server yet">
          <p>Add an InvokeAI server, on this machine or elsewhere; from then on every image it finishes comes here by itself.</p>
          <button type="button" class="button primary" onClick={() => add(true)}>
            Add a server
          </button>
        </Blank>
      ) : (
        <div class="activity scroll">
          <ul class="servers">
            {backends.value.map((backend) => (
              <ServerCard key={backend.id} server={backend} />
            ))}
          </ul>
          {/* A part is shown once all above it is known: nothing is pushed down as the page fills. */}
          {backendsKnown.value && <RetrievalTable addressOf={address.addressOf} onOpen={address.open} />}
          {backendsKnown.value && retrievalsKnown && <QueueTable />}
        </div>
      )}
      {adding && <ServerDialog server={null} onClose={() => add(false)} />}
      {address.shown && (
        <Viewer
          ids={troubled.value ?? []}
          shown={address.shown}
          more={false}
          onMore={nothingMore}
          onMove={address.move}
          onClose={address.close}
        />
      )}
    </>
  );
}
